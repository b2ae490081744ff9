/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The kernel's own TCP counters, one set for each net namespace: what coverage is measured against. */
#ifndef EXCHANGE_NAMESPACES_H
#define EXCHANGE_NAMESPACES_H

#include "exchange/exchange.h"

/* Sends a FRAME_NAMESPACE for each counted namespace. What cannot be read is counted. */
void namespaces__send(struct exchange *exchange);

#endif
