// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "records/record_reader.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "shared/log.h"

/* Ring buffer: one record. A negative result stops the look, with this record behind it. */
static int record__take(void *context, void *bytes, size_t length)
{
	struct records *records = context;
	const struct frame_connection *record = bytes;
	size_t used = sizeof(*record) + record->event_count * sizeof(struct connection_event);
	bool fits = used <= length && output__make_room(records->output, used);

	/*
	 * After what may take time, and just before the ring buffer's position moves on: a probe that is killed in
	 * between would send it again.
	 */
	ledger__send(&records->ledger);
	if (!fits)
		return -1;
	output__frame(records->output, FRAME_CONNECTION, bytes, used);
	records->taken++;
	return 0;
}

int records__make(struct records *records, struct kept *kept, struct output *output)
{
	*records = (struct records){ .kept = kept, .output = output };
	records->ring = ring_buffer__new(kept->records, record__take, records, NULL);
	if (records->ring)
		return 0;
	log_error("cannot read the ring buffer of connection records: %s", strerror(errno));
	return -1;
}

int records__fd(const struct records *records)
{
	return ring_buffer__epoll_fd(records->ring);
}

void records__open(struct records *records)
{
	ledger__open(&records->ledger, &records->kept->state->records);
	records->open = true;
}

void records__close(struct records *records)
{
	records->pace = (struct pace){ 0 };
	records->open = false;
}

void records__wake(struct records *records)
{
	pace__wake(&records->pace, clock__boot_ns());
}

void records__take(struct records *records)
{
	if (records->open)
		ring_buffer__consume(records->ring);
}

bool records__is_due(const struct records *records)
{
	return records->pace.next_ns && clock__boot_ns() >= records->pace.next_ns;
}

void records__look(struct records *records)
{
	__u64 before = records->taken;

	records__take(records);
	pace__looked(&records->pace, records->taken > before, records->kept->settings->asked.records_at_once,
		     clock__boot_ns());
}

void records__tell(struct records *records, const struct command_records *told)
{
	loss__count(records->kept, LOSS_AGENT_GONE_RECORDS, ledger__tell(&records->ledger, told));
}
