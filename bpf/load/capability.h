/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Which capabilities this process can use. */
#ifndef LOAD_CAPABILITY_H
#define LOAD_CAPABILITY_H

#include <linux/capability.h>
#include <stdbool.h>

/* True where this process has capability number `capability` in its effective set. */
bool capability__held(int capability);

#endif
