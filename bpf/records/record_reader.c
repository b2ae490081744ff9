// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "records/record_reader.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "contract/connection_record.h"
#include "shared/log.h"

/* Ring buffer: one record. A negative result stops the poll, with this record behind it. */
static int record__take(void *context, void *bytes, size_t length)
{
	struct record_reader *reader = context;
	const struct frame_connection *record = bytes;
	size_t used = sizeof(*record) + record->event_count * sizeof(struct connection_event);
	bool fits = used <= length && output__make_room(reader->output, used);

	/*
	 * After what may take time, and just before the ring buffer's position moves on: a probe that is killed in
	 * between would send it again.
	 */
	ledger__send(&reader->ledger);
	if (!fits)
		return -1;
	output__frame(reader->output, FRAME_CONNECTION, bytes, used);
	reader->taken++;
	return 0;
}

int record_reader__make(struct record_reader *reader, struct pinned_maps *maps, struct output *output)
{
	*reader = (struct record_reader){ .maps = maps, .output = output };
	reader->ring = ring_buffer__new(maps->records, record__take, reader, NULL);
	if (reader->ring)
		return 0;
	log_error("cannot read the ring buffer of connection records: %s", strerror(errno));
	return -1;
}

int record_reader__fd(const struct record_reader *reader)
{
	return ring_buffer__epoll_fd(reader->ring);
}

void record_reader__open(struct record_reader *reader)
{
	ledger__open(&reader->ledger, &reader->maps->state->records);
	reader->open = true;
}

void record_reader__close(struct record_reader *reader)
{
	reader->poller = (struct poller){ 0 };
	reader->open = false;
}

void record_reader__wake(struct record_reader *reader)
{
	poller__wake(&reader->poller, clock__boot_ns());
}

void record_reader__take(struct record_reader *reader)
{
	if (reader->open)
		ring_buffer__consume(reader->ring);
}

bool record_reader__is_due(const struct record_reader *reader)
{
	return reader->poller.next_ns && clock__boot_ns() >= reader->poller.next_ns;
}

void record_reader__poll(struct record_reader *reader)
{
	__u64 before = reader->taken;

	record_reader__take(reader);
	poller__polled(&reader->poller, reader->taken > before, reader->maps->settings->asked.records_at_once,
		       clock__boot_ns());
}

void record_reader__report(struct record_reader *reader, const struct command_records *report)
{
	loss__count(reader->maps, LOSS_AGENT_GONE_RECORDS, ledger__report(&reader->ledger, report));
}
