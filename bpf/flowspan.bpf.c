// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The object that the probe loads: all BPF programs of flowspan.
 *
 *   tp_btf hooks ──► socket storage ──► edges ◄── walk (iter/bpf_sk_storage_map, or by address)
 *                          ▲              │
 *        adopt (iter/task_file)           └──► probe ──► agent ──► settle
 *
 *   drops and neighbours ──► evidence ──► probe ──► agent
 *
 * Each program stands in one of the headers below, with what runs it, what it costs and what it misses. Each acts only
 * while its own generation is the active one: see struct settings.
 */
#include "kernel/helpers.h"

#include "drops/drops.h"
#include "neighbours/neighbours.h"
#include "tcp/hooks.h"
#include "tcp/iterators.h"
#include "common/namespace_threads.h"
#include "common/settle.h"

char LICENSE[] SEC("license") = "GPL";
