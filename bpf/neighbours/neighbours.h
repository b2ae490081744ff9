/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Neighbours (ARP and ND) that did not answer, or that found no room in the kernel's table. There is one table for each address
 * family and all namespaces. No program here runs for a packet.
 */
#ifndef NEIGHBOURS_NEIGHBOURS_H
#define NEIGHBOURS_NEIGHBOURS_H

#include "common/edge_keys.h"
#include "common/evidence_tables.h"
#include "kernel/helpers.h"
#include "kernel/packets.h"

/* @param address of the neighbour, as long as those of the family */
static __always_inline void on_neighbour(__u8 kind, struct neigh_table *table, struct net_device *dev,
					 const void *address, struct settings *s)
{
	struct evidence_key key = { .kind = kind };
	struct evidence_total *total;
	__be32 v4 = 0;

	key.netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	if (!namespace__is_counted(key.netns, s))
		return;
	key.ifindex = (__u32)BPF_CORE_READ(dev, ifindex);
	if (BPF_CORE_READ(table, family) == AF_INET) {
		key.ether_type = ETH_P_IP;
		bpf_probe_read_kernel(&v4, sizeof(v4), address);
		address__from_v4(key.remote_addr, v4);
	} else {
		key.ether_type = ETH_P_IPV6;
		bpf_probe_read_kernel(key.remote_addr, sizeof(key.remote_addr), address);
	}
	total = evidence_total__of(kind, 0);
	if (!total)
		return;
	__sync_fetch_and_add(&total->count, 1);
	evidence__note(&key, total, dev);
}

/*
 * A neighbour's entry was made, or was not: without an entry the table is full.
 *
 * Hook:   tp_btf, in process context and softirq.
 * Cost:   once an entry; it returns at once where there is one.
 * Misses: nothing.
 */
SEC("tp_btf/neigh_create")
int BPF_PROG(neigh_create, struct neigh_table *table, struct net_device *dev)
{
	struct settings *s = settings__if_active();
	const void *address = NULL;
	__u64 entry = 0;

	/* Not as arguments: some verifiers take it that the entry is never NULL, and that of 6.1 takes no `const void *`. */
	if (!s || bpf_probe_read_kernel(&entry, sizeof(entry), &ctx[3]) || entry ||
	    bpf_probe_read_kernel(&address, sizeof(address), &ctx[2]))
		return 0;
	on_neighbour(EVIDENCE_NEIGHBOUR_OVERFLOW, table, dev, address, s);
	return 0;
}

/*
 * A neighbour's timer went off: after the last question without an answer its entry has failed.
 *
 * Hook:   tp_btf, in softirq.
 * Cost:   once a timer of an entry, some seconds apart; it returns at once where the entry has not failed.
 * Misses: entries that somebody sets to failed by hand.
 */
SEC("tp_btf/neigh_timer_handler")
int BPF_PROG(neigh_timer_handler, struct neighbour *neighbour)
{
	struct settings *s = settings__if_active();

	if (s && (neighbour->nud_state & NUD_FAILED))
		on_neighbour(EVIDENCE_NEIGHBOUR_UNRESOLVED, neighbour->tbl, neighbour->dev,
			     (void *)neighbour + bpf_core_field_offset(neighbour->primary_key), s);
	return 0;
}

#endif
