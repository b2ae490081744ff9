/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What libbpf offers to programs; its headers do not include what they use. */
#ifndef KERNEL_HELPERS_H
#define KERNEL_HELPERS_H

#include "kernel/uapi.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#endif
