/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Rows as the agent sent them, packed: each says how long it is. Knows no map and no kernel. The pages are not malloc()'s, which
 * would keep them after the first time.
 */
#include "exchange/waiting_rows.h"

#include <string.h>
#include <sys/mman.h>

#include "contract/edge.h"
#include "contract/frames.h"

static size_t row__length(const char *payload)
{
	struct frame_edge edge;

	memcpy(&edge, payload, sizeof(edge));
	return sizeof(edge) + edge.slot_count * sizeof(struct slot_growth);
}

bool waiting_rows__fit(const struct waiting_rows *rows, size_t length)
{
	return rows->used + length <= WAITING_ROWS_MAX;
}

bool waiting_rows__add(struct waiting_rows *rows, const void *payload, size_t length)
{
	if (!rows->pages) {
		char *pages = mmap(NULL, WAITING_ROWS_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (pages == MAP_FAILED)
			return false;
		rows->pages = pages;
	}
	memcpy(rows->pages + rows->used, payload, length);
	rows->used += length;
	return true;
}

const char *waiting_rows__next(const struct waiting_rows *rows, size_t *at)
{
	const char *row;

	if (*at >= rows->used)
		return NULL;
	row = rows->pages + *at;
	*at += row__length(row);
	return row;
}

void waiting_rows__forget(struct waiting_rows *rows)
{
	if (rows->pages)
		munmap(rows->pages, WAITING_ROWS_MAX);
	*rows = (struct waiting_rows){ 0 };
}
