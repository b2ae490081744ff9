/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Packets that the kernel dropped, by its own reason. Nothing here runs for a packet that arrives: the kernel frees those
 * by consume_skb(), which has a tracepoint of its own.
 */
#ifndef DROPS_DROPS_H
#define DROPS_DROPS_H

#include "common/cgroups.h"
#include "common/evidence_tables.h"
#include "drops/packet.h"
#include "kernel/helpers.h"

/* Set before load: the tracepoint has a fourth argument, the socket that was to receive the packet. */
const volatile bool drops_have_receiver = false;

struct {
	/* How many runs of `kfree_skb` are under way on this CPU: 0, or 1 for who interrupts it. Not pinned. */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} drops_running SEC(".maps");

/* A queue that nobody reads any more is emptied. The end of a connection that closes first so frees the peer's FIN. */
static __always_inline bool drop__is_purge(__u32 reason)
{
	return bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_QUEUE_PURGE) &&
	       reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_QUEUE_PURGE);
}

/*
 * Without a reason is what older kernels free on normal paths, too: there may be one for each packet. A healthy connection may
 * purge one. Both are in the totals alone.
 */
static __always_inline bool drop__has_detail(__u32 reason)
{
	return reason != 0 && reason != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED) &&
	       !drop__is_purge(reason);
}

/* @param receiver the tracepoint's fourth argument, as a number: the verifier takes it for a socket where it is NULL */
static __always_inline void on_drop(struct sk_buff *skb, __u32 reason, __u64 receiver, struct settings *s)
{
	struct evidence_key key = { .kind = EVIDENCE_DROP, .reason = reason };
	bool has_detail = drop__has_detail(reason);
	struct evidence_total *total;
	struct net_device *dev;
	struct sock *owner, *sk;

	if (s->filter_cgroup || has_detail) {
		owner = BPF_CORE_READ(skb, sk);
		sk = receiver ? (struct sock *)receiver : owner;
		dev = has_detail ? packet__describe(&key, skb, owner, sk)
				 : packet__read_place(&key, skb, sk, packet__route(skb));
		if (sk && sock__is_full(sk))
			key.cgroup = cgroup__of_foreign(BPF_CORE_READ(sk, sk_cgrp_data.cgroup));
		if (!key.cgroup && !namespace__is_counted(key.netns, s))
			return;
	}
	total = evidence_total__of(EVIDENCE_DROP, reason);
	if (!total)
		return;
	__sync_fetch_and_add(&total->count, 1);
	if (has_detail)
		evidence__note(&key, total, dev);
}

/* @param ctx of the tracepoint, which the verifier lets be read as far as it has arguments */
static __always_inline __u64 drop__receiver(unsigned long long *ctx)
{
	__u64 receiver = 0;

	if (drops_have_receiver)
		bpf_probe_read_kernel(&receiver, sizeof(receiver), &ctx[3]);
	return receiver;
}

/*
 * A packet was dropped.
 *
 * Hook:   tp_btf, in any context.
 * Cost:   once a dropped packet; three look-ups for what is in the totals alone, as where a connection that closes first purges a FIN.
 * Misses: what interrupts this program on its CPU: the twin takes that.
 */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb, struct sk_buff *skb, void *location, int reason)
{
	__u32 *running = bpf_map_lookup_elem(&drops_running, &zero);
	struct settings *s = settings__if_active();

	if (!s || !running)
		return 0;
	*(volatile __u32 *)running = 1;
	on_drop(skb, (__u32)reason, drop__receiver(ctx), s);
	*(volatile __u32 *)running = 0;
	return 0;
}

/*
 * The same hook again, for drops by what interrupts the first program: the kernel skips that one then.
 *
 * Hook:   as above, attached behind it.
 * Cost:   two look-ups a dropped packet.
 * Misses: what interrupts both at once, and what comes in the first or last instructions of the first: recursion_misses.
 */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_twin, struct sk_buff *skb, void *location, int reason)
{
	__u32 *running = bpf_map_lookup_elem(&drops_running, &zero);
	struct settings *s;

	if (!running || !*(volatile __u32 *)running)
		return 0;
	s = settings__if_active();
	if (s)
		on_drop(skb, (__u32)reason, drop__receiver(ctx), s);
	return 0;
}

#endif
