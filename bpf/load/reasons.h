/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The names of the kernel's reasons to drop a packet. */
#ifndef LOAD_REASONS_H
#define LOAD_REASONS_H

#include <bpf/btf.h>

#include "contract/evidence.h"

/* Keeps the names of all enums of drop reasons in the kernel's BTF, and in that of its modules as far as they are loaded now. */
void reasons__learn(struct btf *kernel);

/* The name without SKB_DROP_REASON_, "" where no enum has the number. */
void reason__name(__u32 reason, char name[REASON_NAME_MAX]);

#endif
