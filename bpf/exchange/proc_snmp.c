/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * "Tcp: ActiveOpens …\nTcp: 23 …\n" → counters of a namespace. Lines come in pairs, names and values, each led by its group.
 * Kernels differ in which names there are and in which order. Pure.
 */
#include "exchange/proc_snmp.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct counter {
	const char *group;
	const char *name;
	size_t offset;
} counters[] = {
	{ "Ip:", "OutNoRoutes", offsetof(struct frame_namespace, out_no_routes) },
	{ "Tcp:", "ActiveOpens", offsetof(struct frame_namespace, active_opens) },
	{ "Tcp:", "PassiveOpens", offsetof(struct frame_namespace, passive_opens) },
	{ "Tcp:", "AttemptFails", offsetof(struct frame_namespace, attempt_fails) },
	{ "Tcp:", "EstabResets", offsetof(struct frame_namespace, estab_resets) },
	{ "Tcp:", "InSegs", offsetof(struct frame_namespace, in_segs) },
	{ "Tcp:", "OutSegs", offsetof(struct frame_namespace, out_segs) },
	{ "Tcp:", "RetransSegs", offsetof(struct frame_namespace, retrans_segs) },
	{ "Tcp:", "OutRsts", offsetof(struct frame_namespace, out_rsts) },
	{ "TcpExt:", "ListenOverflows", offsetof(struct frame_namespace, listen_overflows) },
	{ "TcpExt:", "ListenDrops", offsetof(struct frame_namespace, listen_drops) },
	{ "TcpExt:", "SyncookiesSent", offsetof(struct frame_namespace, syncookies_sent) },
	{ "TcpExt:", "SyncookiesRecv", offsetof(struct frame_namespace, syncookies_received) },
	{ "TcpExt:", "SyncookiesFailed", offsetof(struct frame_namespace, syncookies_failed) },
	{ "TcpExt:", "PruneCalled", offsetof(struct frame_namespace, prune_called) },
	{ "TcpExt:", "RcvPruned", offsetof(struct frame_namespace, rcv_pruned) },
	{ "TcpExt:", "TCPRcvQDrop", offsetof(struct frame_namespace, tcp_rcv_q_drop) },
	{ "TcpExt:", "TCPAbortOnMemory", offsetof(struct frame_namespace, tcp_abort_on_memory) },
	{ "TcpExt:", "TCPMemoryPressures", offsetof(struct frame_namespace, tcp_memory_pressures) },
};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))
#define COUNTERS_ALL ((1U << COUNTERS) - 1)

/* Takes one pair of lines: names, then values, both led by the group's name. Returns a bit for each counter that was in it. */
static unsigned lines__take(struct frame_namespace *frame, char *names, char *values)
{
	char *name_state, *value_state;
	char *group = strtok_r(names, " ", &name_state), *value = strtok_r(values, " ", &value_state), *name;
	unsigned taken = 0;

	if (!group || !value || strcmp(group, value) != 0)
		return 0;
	while ((name = strtok_r(NULL, " ", &name_state)) && (value = strtok_r(NULL, " ", &value_state))) {
		for (unsigned i = 0; i < COUNTERS; i++) {
			if (strcmp(counters[i].name, name) != 0 || strcmp(counters[i].group, group) != 0)
				continue;
			*(__u64 *)((char *)frame + counters[i].offset) = strtoull(value, NULL, 10);
			taken |= 1U << i;
		}
	}
	return taken;
}

bool proc_snmp__parse(struct frame_namespace *frame, char *text)
{
	char *line_state;
	char *names = strtok_r(text, "\n", &line_state), *values;
	unsigned taken = 0;

	while (names && (values = strtok_r(NULL, "\n", &line_state))) {
		taken |= lines__take(frame, names, values);
		names = strtok_r(NULL, "\n", &line_state);
	}
	return taken == COUNTERS_ALL;
}
