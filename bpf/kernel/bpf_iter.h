/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What iterators hand to their programs. See sockets.h for what a struct here is. */
#ifndef KERNEL_BPF_ITER_H
#define KERNEL_BPF_ITER_H

#include "kernel/sockets.h"
#include "kernel/tasks.h"
#include "kernel/uapi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#endif
