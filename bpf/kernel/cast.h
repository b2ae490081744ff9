/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Pointers that the verifier does not follow by itself, given a type: what lies behind them can be read, and nothing else. */
#ifndef KERNEL_CAST_H
#define KERNEL_CAST_H

#include "kernel/helpers.h"

/* From 6.2 on, a35b9af4ec2c ("bpf: Add a kfunc for generic type cast"). */
void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

/* The kernel's list of functions that its verifier knows: what is missing there does not exist. */
enum special_kfunc_type { KF_bpf_rdonly_cast };

static __always_inline bool cast__exists(void)
{
	return bpf_core_enum_value_exists(enum special_kfunc_type, KF_bpf_rdonly_cast);
}

#endif
