/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Evidence of trouble, from the kernel's tables to the agent, and what the agent says of it. */
#ifndef EXCHANGE_EVIDENCE_ROWS_H
#define EXCHANGE_EVIDENCE_ROWS_H

#include <stdbool.h>

#include "contract/frames.h"
#include "exchange/exchange.h"

/*
 * Takes what programs have counted since the last exchange, and sends all that is not settled, the totals and the neighbour
 * tables. False when the exchange cannot go on.
 */
bool evidence__send(struct exchange *exchange);

/* The Collector has accepted what was made of this row. @return false where it was settled already, or is not known */
bool evidence__settle(struct pinned_maps *maps, const struct frame_evidence *row);

#endif
