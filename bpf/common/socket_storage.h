/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the programs keep of a socket, and where. The choice is made before load (features.c): a hardened kernel refuses
 * the iterator over sockets' storages, and to write into one that was found through a file.
 *
 *   in the socket   walked by an iterator over all storages    freed with its socket
 *   by its address  walked as the elements of a hash           freed by a walk that finds the socket gone after its close
 *
 * A new socket may lie where another one has just been freed. So the key has the socket's cookie, too, which every socket
 * gets that a hook sees opening. One that is older than the probe may have none, and one that is not born yet has none.
 */
#ifndef COMMON_SOCKET_STORAGE_H
#define COMMON_SOCKET_STORAGE_H

#include "contract/contract.h"
#include "kernel/cast.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"

/* Set before load. The verifier drops the way that is not taken. */
const volatile bool sockets_by_address = false;

/*
 * By address, each has room for all sockets that `connections` knows, so that nobody can fill one that others need: for
 * as many as --sockets says, and for 1 where they are not kept so.
 */
#define SOCKET_STORAGE(name, type_of_value)            \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_SK_STORAGE); \
		__uint(map_flags, BPF_F_NO_PREALLOC);  \
		__type(key, int);                      \
		__type(value, type_of_value);          \
	} name SEC(".maps");                           \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_HASH);       \
		__uint(map_flags, BPF_F_NO_PREALLOC);  \
		__uint(max_entries, SOCKETS_ROOM);     \
		__type(key, struct socket_key);        \
		__type(value, type_of_value);          \
	} name##_by_address SEC(".maps");              \
	_Static_assert(sizeof(type_of_value) <= sizeof(nothing), "a new element is a copy of nothing")

struct socket_key {
	__u64 address;
	__u32 cookie; /* its low half */
	__u32 unused;
};

/* What a new element is a copy of. */
static const char nothing[1024];

static __always_inline void socket_key__of(struct socket_key *key, struct sock *sk)
{
	key->address = (__u64)sk;
	key->cookie = (__u32)sk->__sk_common.skc_cookie.counter;
	key->unused = 0;
}

/* A socket that a walk or adoption found, as TCP's. By address, what it is was looked at before. */
static __always_inline struct tcp_sock *tcp_sock__found(struct sock *sk)
{
	if (sockets_by_address)
		return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	return bpf_skc_to_tcp_sock(sk);
}

static __always_inline bool socket__has_nobody(__u64 address)
{
	struct sock *sk = bpf_rdonly_cast((const void *)address, bpf_core_type_id_kernel(struct sock));

	return !sk->__sk_common.skc_refcnt.refs.counter;
}

/*
 * Whether the socket of that address and cookie is gone: nobody holds what lies there, or it is another socket. Its memory
 * can be read, whatever it is by now.
 */
static __always_inline bool socket__is_gone(__u64 address, __u32 cookie)
{
	struct sock *sk = bpf_rdonly_cast((const void *)address, bpf_core_type_id_kernel(struct sock));

	return socket__has_nobody(address) || (__u32)sk->__sk_common.skc_cookie.counter != cookie;
}

/* Gives a socket its cookie, if it has none. Only in a hook, to which the kernel hands sockets that it trusts. */
static __always_inline void socket__identify(struct sock *sk)
{
	if (sockets_by_address)
		bpf_get_socket_cookie(sk);
}

#endif
