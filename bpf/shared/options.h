/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the command line and the two environment variables ask for. */
#ifndef SHARED_OPTIONS_H
#define SHARED_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#define FLOWSPAN_VERSION "0.1.0"
#define EDGES_DEFAULT 65536
#define EDGES_MAX 1000000
#define SOCKETS_MAX 4194304
#define RECORDS_RING_DEFAULT (1024 * 1024)

enum mode {
	MODE_RUN,
	MODE_CHECK,
	MODE_UNPIN,
	MODE_IS_UNPINNED,
	MODE_IS_LISTENING,
	MODE_DONE, /* --help or --version: answered already */
};

struct options {
	enum mode mode;
	const char *socket_path; /* NULL with --stdio */
	uid_t socket_uid;        /* (uid_t)-1: as it comes */
	gid_t socket_gid;
	bool stdio;
	bool supervise;
	const char *pins;   /* NULL: <bpffs>/flowspan */
	const char *cgroup; /* NULL: the whole machine */
	unsigned every;     /* seconds between two --unpin; 0: once */
	unsigned edges;
	unsigned sockets;      /* where they are known by address */
	unsigned records_ring; /* bytes, a power of two */
	bool stay_root;
	uid_t user;
	bool confined;           /* to the system calls that it needs; not with FLOWSPAN_SECCOMP=off */
	bool sockets_by_address; /* FLOWSPAN_SOCKETS=by-address: as where the kernel refuses the walk over storages */
};

/* Fills `options`; answers --help and --version itself. Returns 0, or -1 after it has said what is wrong. */
int options__parse(struct options *options, int argc, char **argv);

#endif
