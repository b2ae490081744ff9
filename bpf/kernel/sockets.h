/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Sockets of any protocol, only the fields that we read; so are the other headers of this room.
 *
 * Every struct is relocated at load (preserve_access_index), so its layout here means nothing and one
 * object runs on every kernel that has BTF; a generated header of all types would be megabytes for
 * these few. Fields that not every kernel has are read behind bpf_core_field_exists().
 */
#ifndef KERNEL_SOCKETS_H
#define KERNEL_SOCKETS_H

#include "kernel/cgroup.h"
#include "kernel/uapi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum sock_flags { SOCK_DEAD = 0, SOCK_DONE = 1 };

struct ns_common {
	unsigned int inum;
};

struct inet_hashinfo;

struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo; /* from 6.1 on, 4461568aa4e5 */
};

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie; /* from 5.12 on */
	__u32 hash_mix;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

/* A list that ends with an odd address. */
struct hlist_nulls_node {
	struct hlist_nulls_node *next;
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	atomic_t refs;
} refcount_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned int skc_hash;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
	struct hlist_nulls_node skc_nulls_node;
	refcount_t skc_refcnt;
};

struct qspinlock {
	atomic_t val;
};

struct raw_spinlock {
	struct qspinlock raw_lock;
};

struct spinlock {
	struct raw_spinlock rlock;
};

typedef struct {
	struct spinlock slock;
	int owned;
} socket_lock_t;

struct net_device;
struct sock;

struct sk_buff {
	struct net_device *dev; /* something else while it waits in a UDP socket */
	struct sock *sk;        /* may be a request or time-wait socket */
	char cb[48];
	unsigned long _skb_refdst; /* a dst_entry; the lowest bit says that it is not counted */
	int skb_iif;               /* the device that it came in by, in its namespace; 0: none yet, or its own */
	__be16 protocol;
	__u16 network_header; /* from `head` on */
	unsigned char *head;
};

struct sk_buff_head {
	struct sk_buff *prev; /* the newest */
	__u32 qlen;
};

struct sock_extended_err {
	__u32 ee_errno;
};

/* What lies in the cb of a sk_buff on an error queue. */
struct sock_exterr_skb {
	struct sock_extended_err ee;
};

struct bpf_local_storage;

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_error_queue;
	struct sk_buff_head sk_receive_queue;
	atomic_t sk_drops;
	socket_lock_t sk_lock;
	int sk_err;
	void *sk_user_data;
	__u32 sk_txhash;
	__u8 sk_shutdown;
	__u16 sk_protocol;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
	struct bpf_local_storage *sk_bpf_storage;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct socket {
	struct sock *sk;
};

#pragma clang attribute pop

#endif
