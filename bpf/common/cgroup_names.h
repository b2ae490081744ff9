/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Names of a cgroup's levels, from the root on → which level names what runs there, and which one is the tenant. Pure.
 *
 *   kubepods.slice / kubepods-burstable.slice / …-pod<uid>.slice (tenant) / cri-containerd-<id>.scope (named) / what it makes
 *   user.slice / user-1000.slice (tenant) / user@1000.service (named) / what the user makes
 *   system.slice / web.service (tenant and named) / what it makes        docker / <id> (tenant and named)
 *
 * Whoever owns a level makes levels below it, as many and under such names as they like. So these are neither tenants nor
 * named: the outermost that means something counts, as in agent/naming/local/cgroup.ts. Where no level means anything, the
 * deepest one is named. Must see no less than the agent does: what is too deep here costs a place, what is not deep enough a name.
 */
#ifndef COMMON_CGROUP_NAMES_H
#define COMMON_CGROUP_NAMES_H

#include "contract/types.h"

/* What one name's characters have shown so far. */
struct name_scan {
	__u64 last; /* the last eight characters */
	__u32 length;
	__u32 run;   /* characters of a uid up to here: hex digits, - and _ */
	__u32 hex;   /* hex digits up to here */
	__u32 flags; /* enum name_flag */
};

enum name_flag {
	NAME_AFTER_POD = 1 << 0, /* `run` follows "pod" */
	NAME_POD = 1 << 1,       /* a pod's level: "pod", and a uid */
	NAME_ID = 1 << 2,        /* a container's id: at the name's end, or before .scope */
	NAME_COLON = 1 << 3,     /* containerd's and CRI-O's cgroupfs driver: all levels in one name */
	NAME_USER = 1 << 4,      /* "user-": with .slice, that of one user */
	NAME_MANAGER = 1 << 5,   /* "user@": below it the user names all levels */
	NAME_SLICE = 1 << 6,
	NAME_UNIT = 1 << 7,     /* .service or .scope */
	NAME_GROUPING = 1 << 8, /* a level of a runtime that has its containers below it */
};

#define NAME_UID_LENGTH 32 /* of a static pod; others have dashes in it */
#define NAME_ID_LENGTH 64

/* The last eight characters as `last` has them. */
#define NAME_WORD(a, b, c, d, e, f, g, h)                                                               \
	((__u64)(a) << 56 | (__u64)(b) << 48 | (__u64)(c) << 40 | (__u64)(d) << 32 | (__u64)(e) << 24 | \
	 (__u64)(f) << 16 | (__u64)(g) << 8 | (__u64)(h))
#define NAME_LOW(count) ((1ULL << (count)*8) - 1)

static inline __attribute__((always_inline)) bool name__is_hex(__u8 c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Takes the next character. */
static inline __attribute__((always_inline)) void name__take(struct name_scan *scan, __u8 c)
{
	__u64 last = scan->last << 8 | c;

	scan->last = last;
	scan->length++;
	if (c == '.' && scan->hex == NAME_ID_LENGTH)
		scan->flags |= NAME_ID;
	scan->hex = name__is_hex(c) ? scan->hex + 1 : 0;
	scan->run = scan->hex || c == '-' || c == '_' ? scan->run + 1 : 0;
	if (!scan->run)
		scan->flags &= ~NAME_AFTER_POD;
	if ((last & NAME_LOW(3)) == NAME_WORD(0, 0, 0, 0, 0, 'p', 'o', 'd') &&
	    (scan->length == 3 || (last >> 24 & 0xff) == '-')) {
		scan->flags |= NAME_AFTER_POD;
		scan->run = 0;
	}
	if (scan->flags & NAME_AFTER_POD && scan->run == NAME_UID_LENGTH)
		scan->flags |= NAME_POD;
	if (c == ':')
		scan->flags |= NAME_COLON;
	if (scan->length == 5 && (last & NAME_LOW(5)) == NAME_WORD(0, 0, 0, 'u', 's', 'e', 'r', '-'))
		scan->flags |= NAME_USER;
	if (scan->length == 5 && (last & NAME_LOW(5)) == NAME_WORD(0, 0, 0, 'u', 's', 'e', 'r', '@'))
		scan->flags |= NAME_MANAGER;
}

/* After the last character. @return enum name_flag, a bit each; 0 of a name without meaning, or of none */
static inline __attribute__((always_inline)) __u32 name__flags(const struct name_scan *scan)
{
	__u64 last = scan->last;
	__u32 flags = scan->flags;

	if ((last & NAME_LOW(6)) == NAME_WORD(0, 0, '.', 's', 'l', 'i', 'c', 'e'))
		flags |= NAME_SLICE;
	if (last == NAME_WORD('.', 's', 'e', 'r', 'v', 'i', 'c', 'e') ||
	    (last & NAME_LOW(6)) == NAME_WORD(0, 0, '.', 's', 'c', 'o', 'p', 'e'))
		flags |= NAME_UNIT;
	if ((last & NAME_LOW(6)) != NAME_WORD(0, 0, '.', 's', 'c', 'o', 'p', 'e'))
		flags &= ~NAME_ID;
	if (scan->hex == NAME_ID_LENGTH)
		flags |= NAME_ID;
	if ((scan->length == 8 && last == NAME_WORD('k', 'u', 'b', 'e', 'p', 'o', 'd', 's')) ||
	    (scan->length == 6 && last == NAME_WORD(0, 0, 'd', 'o', 'c', 'k', 'e', 'r')) ||
	    (scan->length == 3 && last == NAME_WORD(0, 0, 0, 0, 0, 'l', 'x', 'c')) ||
	    (scan->length == 9 && last == NAME_WORD('u', 'r', 's', 't', 'a', 'b', 'l', 'e')) ||
	    (scan->length == 10 && last == NAME_WORD('s', 't', 'e', 'f', 'f', 'o', 'r', 't')))
		flags |= NAME_GROUPING;
	return flags;
}

/* Levels count from 1 on, the outermost one; 0: the root of all names. */
struct cgroup_levels {
	__u32 tenant;    /* whose share it comes out of */
	__u32 named;     /* the level whose name, with those above, says what runs there; deeper ones are part of it */
	__u32 container; /* the outermost; it counts unless a pod's level lies deeper, as on kind's nodes */
	__u32 unit;      /* the outermost; it counts where there is no container */
	__u32 user;
	__u32 after_pod;
	__u32 is_over; /* nothing below counts */
};

/* Takes the flags of the next level. */
static inline __attribute__((always_inline)) void levels__take(struct cgroup_levels *levels, __u32 level, __u32 flags)
{
	if (levels->is_over)
		return;
	levels->named = level;
	if (levels->after_pod) { /* right under a pod's level: its container */
		levels->is_over = 1;
		return;
	}
	if (flags & NAME_POD) {
		levels->tenant = levels->user ?: level;
		levels->is_over = (flags & NAME_COLON) != 0;
		levels->after_pod = 1;
		return;
	}
	if (flags & NAME_MANAGER) {
		levels->tenant = levels->user ?: level;
		levels->is_over = 1;
		return;
	}
	if (flags & NAME_USER && flags & NAME_SLICE && !levels->tenant)
		levels->user = level;
	if (!levels->tenant && !(flags & (NAME_SLICE | NAME_GROUPING)))
		levels->tenant = levels->user ?: level;
	if (!levels->unit && flags & NAME_UNIT)
		levels->unit = level;
	if (!levels->container && flags & NAME_ID && !(flags & NAME_SLICE))
		levels->container = level;
}

/* After the last level. */
static inline __attribute__((always_inline)) void levels__end(struct cgroup_levels *levels)
{
	if (!levels->is_over && !levels->after_pod && (levels->container || levels->unit))
		levels->named = levels->container ?: levels->unit;
	if (!levels->tenant)
		levels->tenant = levels->user ?: levels->named;
}

#endif
