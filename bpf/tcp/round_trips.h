/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What a socket has measured of its round trips, and what of that is the handshake.
 *
 * Both functions give a value that is what its name says, or 0: what the kernel keeps is often something
 * else, and docs/telemetry.md says so name by name.
 */
#ifndef TCP_ROUND_TRIPS_H
#define TCP_ROUND_TRIPS_H

#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"

/* A SYN cookie keeps the SYN's options in the low bits of its timestamp: cookie_init_timestamp(). */
#define COOKIE_WSCALE_BITS 4
#define COOKIE_NO_WSCALE 0xf
#define TIMESTAMP_US 1000 /* TCP_TS_HZ */

/*
 * The newest sample: from the last transmission of a segment to the acknowledgement of it, to the microsecond,
 * also where later data overtook it (tcp_rack_advance()). 0 before the first: a SYN-ACK is no segment of its
 * socket, and an acknowledgement of a segment that was sent again is no sample where it may be of the first one.
 *
 * Not srtt_us: where a SYN or SYN-ACK was sent again it begins with the seconds that took, and forgets an eighth
 * with each sample. Measured, 10 us link, 20 requests after a lost SYN-ACK: 62 ms smoothed, 40 us newest. Not
 * rtt_min: tcp_update_rtt_min() leaves out single small segments, so that a connection of requests and
 * answers keeps the smallest value of its life, also on a link that has become slow.
 */
static __always_inline __u32 newest_rtt_us(struct tcp_sock *tp)
{
	return tp->rack.mstamp ? tp->rack.rtt_us : 0; /* tcp_disconnect() clears the stamp alone */
}

/* Whether the timestamp that came back is one that a SYN cookie may have sent. */
static __always_inline bool is_cookie_timestamp(struct tcp_sock *tp)
{
	__u32 echoed = tp->rx_opt.rcv_tsecr; /* its offset is taken off already */
	__u32 has_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.wscale_ok);
	__u32 wscale = has_wscale ? BPF_CORE_READ_BITFIELD(tp, rx_opt.snd_wscale) : COOKIE_NO_WSCALE;
	__u32 sack = BPF_CORE_READ_BITFIELD(tp, rx_opt.sack_ok) ? 1 : 0;

	return (echoed & ((1 << (COOKIE_WSCALE_BITS + 1)) - 1)) == (wscale | sack << COOKIE_WSCALE_BITS);
}

/*
 * From a server's SYN-ACK to its bare answer: the socket's first sample, at the moment when it becomes
 * ESTABLISHED. 0 where that sample spans something else:
 *
 *  - SYN-ACKs were sent again: which one was answered is not known.
 *  - What completed the handshake carried data, or came after data that is missing. Then the bare answer was lost,
 *    held back by TCP_DEFER_ACCEPT or dropped at a full accept queue, or the client had nothing to say before; with
 *    Fast Open, data came first. So it is with a FIN: handshakes.h.
 *  - Data of ours was acknowledged before (Fast Open): the sample may be its.
 *  - A SYN cookie kept no time. The sample is of its timestamp, whole milliseconds and up to 64 ms too much:
 *    one in 32,000 others that takes a millisecond or more looks the same.
 */
static __always_inline __u32 server_handshake_us(struct tcp_sock *tp)
{
	__u32 first_us = tp->srtt_us >> 3;

	if (tp->total_retrans || tp->data_segs_in || newest_rtt_us(tp) || tp->snd_wl1 != tp->rcv_nxt)
		return 0;
	if (first_us % TIMESTAMP_US == 0 && is_cookie_timestamp(tp))
		return 0;
	return first_us;
}

#endif
