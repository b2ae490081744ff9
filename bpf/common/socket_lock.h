/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Whether somebody works on a socket at this moment. */
#ifndef COMMON_SOCKET_LOCK_H
#define COMMON_SOCKET_LOCK_H

#include "kernel/helpers.h"
#include "kernel/sockets.h"

/* Whether the kernel's spinlock has the shape that we know: not so on a real-time kernel. */
static __always_inline bool lock__is_known(struct sock *sk)
{
	return bpf_core_field_exists(sk->sk_lock.slock.rlock.raw_lock.val.counter);
}

/*
 * Whether someone works on the socket right now. Where the kernel's spinlock has another shape, we
 * say no: then a read may rarely be torn (see tcp_counters__read()).
 */
static __always_inline bool sock__is_locked(struct sock *sk)
{
	if (sk->sk_lock.owned)
		return true;
	return lock__is_known(sk) && sk->sk_lock.slock.rlock.raw_lock.val.counter != 0;
}

#endif
