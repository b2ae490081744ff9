/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Integers of a fixed size and bool, in the kernel's programs and in user space. */
#ifndef CONTRACT_TYPES_H
#define CONTRACT_TYPES_H

#ifdef __bpf__
#include "kernel/uapi.h"
#else
#include <linux/types.h>
#include <stdbool.h>
#endif

#endif
