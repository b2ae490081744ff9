/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Data that goes around TCP: sockets in a BPF sockmap, whose programs may hand what is sent on one socket of this
 * machine to another one's receive queue. No counter of the sockets moves then, so it is said as a loss, once an end.
 *
 * The kernel takes a socket out of its maps before close() changes the state, and leaves no trace. So all other
 * moments are looked at: the handshake, the peer's FIN or RST, shutdown(), the walk. Misses: an end that closes
 * first and opened and closed between two walks; its peer, on this machine as well, gets its FIN.
 */
#ifndef TCP_BYPASS_H
#define TCP_BYPASS_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/sockets.h"
#include "tcp/connection.h"

/* Low bit of sk_user_data: it points to a psock. include/net/sock.h, since 2a0133723f9e (6.0). */
#define SK_USER_DATA_PSOCK 4UL

/* Whether a program may redirect what this socket sends, or send to it what another one was given. */
static __always_inline bool is_in_sockmap(struct sock *sk)
{
	return (unsigned long)sk->sk_user_data & SK_USER_DATA_PSOCK;
}

static __always_inline void connection__note_sockmap(struct connection *c)
{
	if (!(c->flags & IN_SOCKMAP) && connection__claim(c, IN_SOCKMAP))
		loss__count(LOSS_SOCKMAP_BYPASS);
}

/* For hooks that have no business with the socket's storage otherwise. */
static __always_inline void on_sockmap(struct sock *sk)
{
	struct connection *c = connection__of(sk);

	if (c && settings__if_active())
		connection__note_sockmap(c);
}

#endif
