/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Loads, attaches and hands over.
 *
 *   load (generation n + 1) → attach, inactive → settings.generation = n + 1 → remove links of n → adopt
 *
 * Between attaching and the flip both sets see every event and only the old one acts; after it only the
 * new one does. An event that is under way during the flip may be seen by both: marks in the socket's
 * storage keep that from counting twice. Links are pinned and also held open here: a pin that somebody removes
 * takes no hook from a running probe. The links of an older probe go when it ends, within a second.
 */
#include "load/programs.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flowspan.skel.h"
#include "load/refusal.h"
#include "load/settings.h"
#include "shared/log.h"
#include "load/unadopted.h"

#define GENERATION_NEVER UINT64_MAX

static struct bpf_program *programs__find(const struct programs *programs, const char *name)
{
	return bpf_object__find_program_by_name(programs->skeleton->obj, name);
}

/* The generation that is active in pinned maps, 0 where there are none. */
static uint64_t generation__pinned(const struct pins *pins)
{
	struct settings settings = { 0 };
	char path[PATH_MAX + 128];
	__u32 zero = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/settings", pins->path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_map_lookup_elem(fd, &zero, &settings))
		settings.generation = 0;
	close(fd);
	return settings.generation;
}

static int programs__open(struct programs *programs, const struct features *features)
{
	programs->skeleton = flowspan_bpf__open();
	if (!programs->skeleton) {
		log_error("cannot open the kernel programs: %s", strerror(errno));
		return -1;
	}
	programs->skeleton->rodata->generation = programs->generation;
	programs->skeleton->rodata->pid_namespace = features->pid_namespace;
	programs->skeleton->rodata->drops_have_receiver = features->drop_receiver;
	for (int i = 0; i < hook_count; i++) {
		if (!features->hook[i])
			bpf_program__set_autoload(programs__find(programs, hooks[i].program), false);
	}
	programs->skeleton->rodata->sockets_by_address = !features->iter_sk_storage;
	bpf_program__set_autoload(programs->skeleton->progs.walk, features->iter_sk_storage);
	bpf_program__set_autoload(programs->skeleton->progs.walk_by_address, !features->iter_sk_storage);
	return 0;
}

/* Room for what is known of sockets by address; none where it lies in them. */
static void programs__make_room(const struct programs *programs, const struct features *features, unsigned sockets)
{
	unsigned room = features->iter_sk_storage ? 1 : sockets;

	bpf_map__set_max_entries(programs->skeleton->maps.connections_by_address, room);
	bpf_map__set_max_entries(programs->skeleton->maps.troubles_by_address, room);
	bpf_map__set_max_entries(programs->skeleton->maps.interims_by_address, room);
	bpf_map__set_max_entries(programs->skeleton->maps.closed_sockets, room > 4 ? room / 4 : 1);
}

static void load__explain(char *why, size_t size, int failed)
{
	struct refusal_facts facts;
	struct refusal refusal;

	if (failed != -EPERM && failed != -EACCES) {
		snprintf(why, size, "%s; --log-level debug shows the verifier's words", strerror(-failed));
		return;
	}
	refusal__look(&facts);
	refusal__explain(&refusal, &facts);
	snprintf(why, size, "%s: %s; %s", strerror(-failed), refusal.why, refusal.remedy);
}

static int programs__load(struct programs *programs, const struct features *features)
{
	char why[1024];
	int failed;

	if (!features->btf) {
		log_error("this kernel has no BTF (/sys/kernel/btf/vmlinux): it must be built with "
			  "CONFIG_DEBUG_INFO_BTF=y");
		return -1;
	}
	if (!features->hook[0]) {
		log_error(
			"this kernel lacks the tracepoint inet_sock_set_state: Linux 6.1 or later is needed, with BPF");
		return -1;
	}
	if (!features->iter_sk_storage && !features->read_only_cast) {
		log_error(
			"this kernel refuses the iterator bpf_sk_storage_map and lacks bpf_rdonly_cast, which "
			"flowspan could do with instead: Linux 6.2 or later is needed, or one that is not hardened so");
		return -1;
	}
	failed = flowspan_bpf__load(programs->skeleton);
	if (failed) {
		load__explain(why, sizeof(why), failed);
		log_error("cannot load the kernel programs: %s", why);
		return -1;
	}
	return 0;
}

/* Attaches and pins the hooks. Only a missing required one is a failure. */
static int hooks__attach(struct programs *programs, struct features *features, const struct pins *pins)
{
	for (int i = 0; i < hook_count; i++) {
		const struct hook *hook = &hooks[i];
		struct bpf_link *link = NULL;
		int failed = -ENOENT;

		if (features->hook[i]) {
			link = bpf_program__attach(programs__find(programs, hook->program));
			failed = link ? pins__pin_link(pins, programs->generation, hook->program, link) : -errno;
		}
		if (!failed) {
			programs->hooks[i] = link;
			continue;
		}
		bpf_link__destroy(link);
		if (hook->required) {
			log_error("%s: cannot attach: %s", hook->program, strerror(-failed));
			return -1;
		}
		log_warn("%s: %s: %s", hook->program,
			 features->hook[i] ? strerror(-failed) : "this kernel has no such tracepoint", hook->cost);
		features->hook[i] = false;
	}
	return 0;
}

/* Over the sockets' storages. */
static struct bpf_link *iterator__attach(const struct programs *programs, const struct bpf_program *program)
{
	union bpf_iter_link_info info = { 0 };
	LIBBPF_OPTS(bpf_iter_attach_opts, over_map, .link_info = &info, .link_info_len = sizeof(info));

	info.map.map_fd = (__u32)bpf_map__fd(programs->skeleton->maps.connections);
	return bpf_program__attach_iter(program, &over_map);
}

static int walk__attach(struct programs *programs, const struct features *features, const struct options *options)
{
	if (features->iter_sk_storage) {
		programs->walk = iterator__attach(programs, programs->skeleton->progs.walk);
		if (!programs->walk) {
			log_error("walk: cannot attach: %s", strerror(errno));
			return -1;
		}
	} else {
		log_info("%s: what is known of sockets lies by address, with room for %u",
			 options->sockets_by_address ? "FLOWSPAN_SOCKETS=by-address"
						     : "this kernel refuses bpf_sk_storage_map",
			 bpf_map__max_entries(programs->skeleton->maps.connections_by_address));
	}
	programs->namespaces = bpf_program__attach_iter(programs__find(programs, "namespaces"), NULL);
	if (!programs->namespaces)
		log_warn("namespaces: cannot attach: %s: no coverage", strerror(errno));
	return 0;
}

int iterator__run(const struct bpf_link *link, void (*take)(void *context, const void *bytes, size_t length),
		  void *context)
{
	int fd = bpf_iter_create(bpf_link__fd(link)), failed = 0;
	char bytes[8192];
	ssize_t length;

	if (fd < 0)
		return -errno;
	while ((length = read(fd, bytes, sizeof(bytes))) != 0) {
		if (length < 0 && errno != EINTR && errno != EAGAIN) {
			failed = -errno;
			break;
		}
		if (length > 0 && take)
			take(context, bytes, (size_t)length);
	}
	close(fd);
	return failed;
}

/* Runs one adoption program over all tasks' files. A failure costs the older sockets, nothing else. */
static void sockets__adopt(struct programs *programs, const char *name)
{
	struct bpf_link *link = bpf_program__attach_iter(programs__find(programs, name), NULL);
	int failed = link ? iterator__run(link, NULL, NULL) : -errno;

	if (failed)
		log_warn("%s: %s: connections older than this probe are not counted until they change state", name,
			 strerror(-failed));
	bpf_link__destroy(link);
}

/* @param fresh nothing was counted before: what adoption does not find now, nothing knows */
static void sockets__take_over(struct programs *programs, struct pinned_maps *maps, bool fresh, bool is_filtered)
{
	struct unadopted unadopted = {
		.fd = bpf_map__fd(programs->skeleton->maps.unfound),
		.is_filtered = is_filtered,
	};

	if (fresh)
		unadopted__expect(&unadopted, programs);
	sockets__adopt(programs, "adopt_listeners");
	sockets__adopt(programs, "adopt");
	if (fresh)
		unadopted__count(&unadopted, maps);
}

int programs__start(struct programs *programs, struct pinned_maps *maps, struct features *features, struct pins *pins,
		    const struct options *options, const struct cgroup_filter *filter)
{
	uint64_t before = generation__pinned(pins);
	struct bpf_object *object;

	programs->generation = before + 1;
	if (programs__open(programs, features))
		return -1;
	object = programs->skeleton->obj;
	bpf_map__set_max_entries(programs->skeleton->maps.edges, options->edges);
	bpf_map__set_max_entries(programs->skeleton->maps.records, options->records_ring);
	programs__make_room(programs, features, options->sockets);
	if (pins__pin_maps(pins, object))
		return -1;
	programs->skeleton->rodata->sockets_room =
		bpf_map__max_entries(programs->skeleton->maps.connections_by_address);
	if (!features->iter_sk_storage && programs->skeleton->rodata->sockets_room == 1) {
		log_error("the pins at %s are of a probe that kept what it knows in the sockets, and this one is to "
			  "keep it by address: run flowspan-probe --unpin, which forgets what was not exported yet, "
			  "or unset FLOWSPAN_SOCKETS",
			  pins->path);
		return -1;
	}
	if (programs__load(programs, features) || pinned_maps__open(maps, object))
		return -1;
	pins__remove_links_except(pins, before); /* of a probe that died while it started */
	if (walk__attach(programs, features, options) || hooks__attach(programs, features, pins))
		return -1;
	settings__prepare(maps, filter);
	__atomic_store_n(&maps->settings->generation, programs->generation, __ATOMIC_RELEASE);
	pins__remove_links_except(pins, programs->generation);
	sockets__take_over(programs, maps, before == 0, filter->cgroup != 0);
	pins__remove_others(pins); /* now that we count */
	log_info("%s: generation %" PRIu64 ", %llu sockets adopted so far, room for %u edges, pins at %s",
		 before ? "took over" : "started", programs->generation, maps->state->adopted, maps->edge_capacity,
		 pins->path);
	return 0;
}

int programs__walk(const struct programs *programs)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	if (programs->walk)
		return iterator__run(programs->walk, NULL, NULL);
	return bpf_prog_test_run_opts(bpf_program__fd(programs->skeleton->progs.walk_by_address), &options) ? -errno
													    : 0;
}

int programs__settle(const struct programs *programs, uint64_t count)
{
	struct settle_context context = { .count = count };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context));

	if (bpf_prog_test_run_opts(bpf_program__fd(programs->skeleton->progs.settle), &options))
		return -errno;
	return options.retval ? -ESTALE : 0; /* another generation is the active one: nothing was applied */
}

int programs__try(const struct features *features, bool attached[HOOKS_MAX], char *problem, size_t size)
{
	struct programs programs = { .generation = GENERATION_NEVER };
	int failed;

	if (programs__open(&programs, features)) {
		snprintf(problem, size, "cannot open the programs: %s", strerror(errno));
		return -1;
	}
	programs__make_room(&programs, features, 1); /* none is made */
	failed = flowspan_bpf__load(programs.skeleton);
	if (failed)
		load__explain(problem, size, failed);
	for (int i = 0; i < hook_count && !failed; i++) {
		struct bpf_link *link = NULL;

		if (features->hook[i])
			link = bpf_program__attach(programs__find(&programs, hooks[i].program));
		attached[i] = link != NULL;
		bpf_link__destroy(link);
	}
	flowspan_bpf__destroy(programs.skeleton);
	return failed ? -1 : 0;
}
