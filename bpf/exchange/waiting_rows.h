/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Rows that wait for their flush. */
#ifndef EXCHANGE_WAITING_ROWS_H
#define EXCHANGE_WAITING_ROWS_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of rows, one behind the other: some 10,000 edges'. */
#define WAITING_ROWS_MAX (4UL << 20)

struct waiting_rows {
	char *pages; /* NULL: there is no row */
	size_t used;
};

/* Whether a row of `length` bytes fits behind the others. */
bool waiting_rows__fit(const struct waiting_rows *rows, size_t length);

/* Keeps a row that fits: a payload that command__parse() has checked. False where there is no memory, with errno. */
bool waiting_rows__add(struct waiting_rows *rows, const void *payload, size_t length);

/* The row at `at`, which moves on to the next one; NULL after the last. */
const char *waiting_rows__next(const struct waiting_rows *rows, size_t *at);

void waiting_rows__forget(struct waiting_rows *rows);

#endif
