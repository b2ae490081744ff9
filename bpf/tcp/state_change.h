/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A socket's change of state, to what is done about it: in a connection's life once each, never per packet. Shared by the
 * hook and its twin (hooks.h).
 */
#ifndef TCP_STATE_CHANGE_H
#define TCP_STATE_CHANGE_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/close.h"
#include "tcp/closed.h"
#include "tcp/connection.h"
#include "tcp/listen_owners.h"
#include "tcp/open.h"

/* Most state changes mean nothing to us: asked before anything else is looked at. */
static __always_inline bool state_matters(int to)
{
	return to == TCP_ESTABLISHED || to == TCP_CLOSE || to == TCP_SYN_SENT || to == TCP_LISTEN;
}

/* A child is born; the twin has nothing to do with it: one that is missed has no process. */
static __always_inline bool state_is_birth(int from, int to)
{
	return from == TCP_LISTEN && to == TCP_SYN_RECV;
}

/*
 * Whether the socket's storage shows that this change was handled, so that the twin has nothing to do. Inlined, the
 * verifier of 6.1 goes through on_state() once for each of its ways out.
 */
static __noinline bool state_is_noted(struct sock *sk, int to)
{
	struct connection *c;

	if (sk->sk_protocol != IPPROTO_TCP)
		return true;
	c = connection__of(sk);
	if (to == TCP_CLOSE)
		return !c || !c->start_ns ||
		       (c->flags & CLOSED); /* without storage the first one counted it as unseen */
	if (!c || !c->start_ns || (c->flags & CLOSED))
		return false; /* closed: the socket is used again */
	if (to == TCP_ESTABLISHED)
		return c->flags & ESTABLISHED;
	if (to == TCP_LISTEN)
		return c->flags & LISTENS;
	return true; /* SYN_SENT: its storage is there */
}

static __always_inline void on_listen_now(struct sock *sk, struct settings *s, bool is_last)
{
	struct listen_owner owner = { .pid = bpf_get_current_pid_tgid() >> 32 };

	bpf_get_current_comm(owner.comm, sizeof(owner.comm));
	socket__identify(sk);
	on_listen(sk, sk, &owner, s, is_last);
}

/* @param is_twin the second program that sees it */
static __always_inline void on_state(struct sock *sk, int from, int to, struct settings *s, bool is_twin)
{
	if (sk->sk_protocol == IPPROTO_MPTCP && to == TCP_CLOSE) {
		on_close_mptcp(sk, from, s);
		closed__note(sk);
	}
	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	if (to == TCP_ESTABLISHED) {
		on_established(sk, from, s, is_twin);
	} else if (to == TCP_CLOSE) {
		on_close(sk, from, s);
		closed__note(sk);
	} else if (to == TCP_SYN_SENT) {
		on_connect(sk, s);
	} else if (to == TCP_SYN_RECV) {
		on_child(sk, s);
	} else {
		on_listen_now(sk, s, is_twin);
	}
}

#endif
