/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * walk number n → exchange number n → BEGIN → rows of all edges (a CGROUP before the first of each) →
 * NAMESPACE → PROGRAM → STATUS → END. Edges are read in small batches and leave through the output's
 * bounded buffer: memory does not grow with the table. An edge made after the exchange got its number is
 * left for the next one, an idle edge is evicted on the way.
 */
#include "exchange/exchange.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "contract/share.h"
#include "shared/log.h"
#include "exchange/evidence_rows.h"
#include "exchange/namespaces.h"
#include "exchange/status.h"

#define BATCH_FIRST 64
#define BATCH_MAX 8192

static int batch__grow(struct exchange *exchange, __u32 capacity)
{
	struct edge_key *keys = realloc(exchange->keys, capacity * sizeof(*keys));
	struct edge_value *values;

	if (keys)
		exchange->keys = keys;
	values = realloc(exchange->values, capacity * sizeof(*values));
	if (values)
		exchange->values = values;
	if (!keys || !values) {
		log_error("no memory for a batch of %u edges", capacity);
		return -1;
	}
	exchange->capacity = capacity;
	return 0;
}

int exchange__open(struct exchange *exchange)
{
	return batch__grow(exchange, BATCH_FIRST);
}

/* Where there is no room all is forgotten, and the agent hears names again. */
static void announced__add(struct cgroup_set *announced, __u64 id)
{
	if (cgroup_set__add(announced, id))
		return;
	cgroup_set__clear(announced);
	cgroup_set__add(announced, id);
}

bool cgroup__announce(struct exchange *exchange, __u64 id)
{
	struct frame_cgroup cgroup;

	if (id == 0 || cgroup_set__has(&exchange->announced, id))
		return true;
	if (bpf_map_lookup_elem(exchange->maps->cgroups, &id, &cgroup))
		return true; /* pushed out of the map; its next socket brings it back */
	if (cgroup.id != id)
		return false;
	if (output__frame(exchange->output, FRAME_CGROUP, &cgroup, sizeof(cgroup)))
		announced__add(&exchange->announced, id);
	return true;
}

/* Where the table or its tenant's share is nearly used up, what is idle leaves early; `settle` asks the same again. */
static __u64 edge__idle_ns(const struct exchange *exchange, const struct edge_value *value)
{
	const struct pinned_maps *maps = exchange->maps;
	const struct settings *settings = maps->settings;
	__u64 limit = share__limit(maps->edge_capacity, maps->state->edges, settings->asked.edges_share);
	bool is_pressed = share__is_pressed(maps->state->edges, maps->edge_capacity);

	if (value->tenant > 0 && value->tenant <= TENANTS_MAX)
		is_pressed = is_pressed || share__is_pressed(maps->tenants[value->tenant - 1].edges, limit);
	return share__idle_ns(settings->asked.idle_ns, is_pressed);
}

/* Sends one edge, or evicts it. False when the exchange cannot go on. */
static bool edge__send(struct exchange *exchange, const struct edge_key *key, const struct edge_value *value,
		       bool evictable)
{
	const struct state *state = exchange->maps->state;
	bool is_new = value->settled >= state->exchange || value->since_ns >= state->exchange_ns;
	bool is_news = false;
	size_t length = 0;

	exchange->edges += evictable;
	if (!is_new) {
		length = row__fill(&exchange->row, key, value, state->exchange);
		is_news = row__is_news(&exchange->row, value);
		if (!is_news && evictable &&
		    edge__is_idle(&exchange->row, value, state->exchange_ns, edge__idle_ns(exchange, value)))
			return settler__evict(exchange->settler, key);
	}
	/* What finds no room is beyond what the kernel keeps the names of, by far. */
	cgroup_set__add(&exchange->cgroups, key->cgroup);
	if (!is_news)
		return true;
	if (!cgroup__announce(exchange, key->cgroup))
		return true;
	exchange->rows_sent++;
	return output__frame(exchange->output, FRAME_EDGE, &exchange->row, length);
}

/* Reads the next batch of edges. 0, -ENOENT after the last, or another -errno. */
static int edges__read(struct exchange *exchange, void *in, void *out, __u32 *count)
{
	for (;;) {
		int failed;

		*count = exchange->capacity;
		failed = bpf_map_lookup_batch(exchange->maps->edges, in, out, exchange->keys, exchange->values, count,
					      NULL);
		if (failed != -ENOSPC && failed != -EINTR)
			return failed;
		/* A hash bucket that is longer than the batch. */
		if (failed == -ENOSPC &&
		    (exchange->capacity >= BATCH_MAX || batch__grow(exchange, exchange->capacity * 2)))
			return -ENOSPC;
	}
}

static bool edges__send(struct exchange *exchange)
{
	/* The kernel's place in the table; a hash map's is 4 bytes. */
	__u64 places[2] = { 0 };
	bool first = true;
	int failed = 0;

	while (!failed) {
		__u32 count;

		failed = edges__read(exchange, first ? NULL : &places[0], &places[1], &count);
		if (failed && failed != -ENOENT) {
			log_error("cannot read the edge table: %s", strerror(-failed));
			return false;
		}
		for (__u32 i = 0; i < count; i++) {
			if (!edge__send(exchange, &exchange->keys[i], &exchange->values[i], true))
				return false;
		}
		places[0] = places[1];
		first = false;
		exchange->on_batch(exchange->context);
	}
	return true;
}

static bool overflow__send(struct exchange *exchange)
{
	struct edge_value *value = exchange->values;

	for (__u32 index = 0; index < ROLE_LISTENER; index++) {
		struct edge_key key = { .role = (__u8)(index + 1), .protocol = 6 /* IPPROTO_TCP */ };

		if (bpf_map_lookup_elem(exchange->maps->overflow, &index, value)) {
			log_error("cannot read the overflow edge: %s", strerror(errno));
			return false;
		}
		if (!value->since_ns)
			value->since_ns = exchange->maps->state->started_ns;
		if (!edge__send(exchange, &key, value, false))
			return false;
	}
	return true;
}

/*
 * Sockets that were marked before the walk, were not found by it and whose close nobody saw. What begins and
 * ends meanwhile can only make the difference smaller: the largest that was ever found is true.
 */
static void close_missed__note(struct pinned_maps *maps, __u64 marked)
{
	__u64 accounted = maps->state->live + socket_total__read(maps, SOCKETS_CLOSED);

	if (marked > accounted + maps->state->close_missed)
		maps->state->close_missed = marked - accounted;
}

/* Numbers the exchange and walks. */
static bool exchange__walk(struct exchange *exchange, struct frame_exchange *frame)
{
	struct state *state = exchange->maps->state;
	/* Also above a walk that was cut short: edges know their walk by its number. */
	__u64 last = state->walk > state->exchange ? state->walk : state->exchange;
	__u64 number = last + 1, begin = clock__boot_ns();
	__u64 marked = socket_total__read(exchange->maps, SOCKETS_TRACKED);
	int failed;

	state->sockets = state->live = 0;
	state->walk_ns = begin;
	__atomic_store_n(&state->walk, number, __ATOMIC_RELEASE);
	failed = programs__walk(exchange->programs);
	if (failed) {
		log_error("cannot walk the sockets: %s", strerror(-failed));
		return false;
	}
	/* After a takeover, this walk has left out what came after it. */
	if (pinned_maps__is_active(exchange->maps, exchange->programs->generation))
		close_missed__note(exchange->maps, marked);
	*frame = (struct frame_exchange){ .exchange = number, .sockets = state->sockets };
	clock__read_both(&frame->boot_ns, &frame->realtime_ns);
	frame->walk_ns = frame->boot_ns - begin;
	state->exchange_ns = frame->boot_ns;
	/* Only now: edges that the walk made belong to this exchange, those made from here on to the next. */
	__atomic_store_n(&state->exchange, number, __ATOMIC_RELEASE);
	return true;
}

bool exchange__run(struct exchange *exchange)
{
	struct output *output = exchange->output;
	struct frame_exchange frame;

	/* What is staged was accepted: it must not be part of this exchange's growth. */
	if (!settler__apply(exchange->settler) || !exchange__walk(exchange, &frame))
		return false;
	exchange->rows_sent = 0;
	exchange->edges = 0;
	cgroup_set__clear(&exchange->cgroups);
	if (!output__frame(output, FRAME_EXCHANGE_BEGIN, &frame, sizeof(frame)))
		return false;
	exchange->settler->evicted = 0;
	if (!edges__send(exchange) || !overflow__send(exchange) || !settler__apply(exchange->settler))
		return false;
	if (!evidence__send(exchange))
		return false;
	if (exchange->proc_snmp)
		namespaces__send(exchange);
	programs__report(exchange->programs, output);
	status__send(exchange->maps, &exchange->memory, output, exchange->edges - exchange->settler->evicted,
		     exchange->cgroups.count, *exchange->records);
	frame.edges = exchange->rows_sent;
	return output__frame(output, FRAME_EXCHANGE_END, &frame, sizeof(frame)) && output__flush(output);
}
