/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The fill of the kernel's neighbour tables, one for each address family. */
#ifndef EXCHANGE_NEIGHBOUR_TABLES_H
#define EXCHANGE_NEIGHBOUR_TABLES_H

#include <stdbool.h>

#include "contract/frames.h"
#include "wire/output.h"

/* Sends a FRAME_NEIGHBOUR_TABLE for each; none where only the first namespace shows them and this is another. */
bool neighbour_tables__send(struct output *output);

#endif
