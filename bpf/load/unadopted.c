/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * /proc/TID/net/tcp, tcp6 ─► `unfound` ─► adoption takes out ─► what is left, and still in /proc ─► LOSS_NOT_ADOPTED
 *
 * Only where nothing was counted before: later, sockets that the hooks have marked need no file to be known. What
 * begins or ends meanwhile is not in both readings.
 */
#include "load/unadopted.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/log.h"
#include "load/proc_tcp.h"

typedef void (*take_place)(void *context, const struct socket_place *place);

/* A namespace whose thread has ended meanwhile has fewer sockets to tell of, if any. */
static void places__read(const struct namespace_seen *seen, const char *name, take_place take, void *context)
{
	struct socket_place place = { .netns = seen->netns };
	char path[64], line[512];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/net/%s", seen->pid, name);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (proc_tcp__parse(&place, line))
			take(context, &place);
	}
	fclose(file);
}

static void places__read_all(const struct unadopted *unadopted, take_place take, void *context)
{
	for (size_t i = 0; i < unadopted->count; i++) {
		if (unadopted->is_filtered && unadopted->namespaces[i].netns == unadopted->own)
			continue;
		places__read(&unadopted->namespaces[i], "tcp", take, context);
		places__read(&unadopted->namespaces[i], "tcp6", take, context);
	}
}

static void namespaces__keep(void *context, const void *bytes, size_t length)
{
	struct unadopted *unadopted = context;
	size_t more = length / sizeof(*unadopted->namespaces);
	struct namespace_seen *grown =
		realloc(unadopted->namespaces, (unadopted->count + more) * sizeof(*unadopted->namespaces));

	if (!grown)
		return;
	memcpy(grown + unadopted->count, bytes, more * sizeof(*grown));
	unadopted->namespaces = grown;
	unadopted->count += more;
}

static void place__expect(void *context, const struct socket_place *place)
{
	static bool warned;
	__u8 one = 1;

	if (!bpf_map_update_elem(*(int *)context, place, &one, BPF_ANY) || warned)
		return;
	warned = true;
	log_warn("cannot note all sockets: %s: those that adoption does not find are counted in part", strerror(errno));
}

void unadopted__expect(struct unadopted *unadopted, const struct programs *programs)
{
	struct stat own = { 0 };
	int failed;

	if (stat("/proc/self/ns/net", &own) == 0)
		unadopted->own = (__u32)own.st_ino;
	failed = programs->namespaces ? iterator__run(programs->namespaces, namespaces__keep, unadopted) : 0;

	if (failed)
		log_warn("cannot list net namespaces: %s: sockets that adoption does not find are not counted",
			 strerror(-failed));
	places__read_all(unadopted, place__expect, &unadopted->fd);
}

struct counting {
	int fd;
	__u64 left;
};

/* Taken out: sockets that share a place, as with SO_REUSEPORT, are found together. */
static void place__count(void *context, const struct socket_place *place)
{
	struct counting *counting = context;

	if (bpf_map_delete_elem(counting->fd, place) == 0)
		counting->left++;
}

void unadopted__count(struct unadopted *unadopted, struct pinned_maps *maps)
{
	struct counting counting = { .fd = unadopted->fd };
	struct socket_place place;

	places__read_all(unadopted, place__count, &counting);
	if (counting.left) {
		loss__count(maps, LOSS_NOT_ADOPTED, counting.left);
		log_info("%llu sockets are older than this probe, and no open file leads to them", counting.left);
	}
	map__clear(unadopted->fd, &place, "unfound");
	free(unadopted->namespaces);
}
