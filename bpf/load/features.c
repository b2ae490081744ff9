/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Feature detection: BTF says which tracepoints exist, a trial which iterators load, /proc and the mounts say the rest.
 * Nothing is decided by a kernel's version number, since distributions backport.
 */
#include "load/features.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract/frames.h"
#include "load/reasons.h"

/* kfree_skb: packet, place, reason. Since 6.11 also the socket that was to receive it. */
#define DROP_ARGUMENTS 3
#define DROP_ARGUMENTS_WITH_RECEIVER 4

const struct hook hooks[] = {
	{ "inet_sock_set_state", "inet_sock_set_state", true, -1, "nothing can be counted", 0 },
	{ "inet_sock_set_state_twin", "inet_sock_set_state", false, -1,
	  "state changes that interrupt another are missed", 0 },
	{ "tcp_retransmit_skb", "tcp_retransmit_skb", false, FEATURE_RETRANSMIT,
	  "retransmits are counted without their type", 0 },
	{ "tcp_retransmit_synack", "tcp_retransmit_synack", false, FEATURE_RETRANSMIT_SYNACK,
	  "SYN-ACKs sent again are not counted", 0 },
	{ "tcp_send_reset", "tcp_send_reset", false, FEATURE_SEND_RESET, "resets sent are not counted", 0 },
	{ "tcp_receive_reset", "tcp_receive_reset", false, FEATURE_RECEIVE_RESET, "resets received are not counted",
	  0 },
	{ "inet_sk_error_report", "inet_sk_error_report", false, -1,
	  "some connects that ICMP ended are counted as cancelled", 0 },
	{ "kfree_skb", "kfree_skb", false, FEATURE_DROPS, "dropped packets are not counted", DROP_ARGUMENTS },
	{ "kfree_skb_twin", "kfree_skb", false, -1, "drops that interrupt the counting of another are missed",
	  DROP_ARGUMENTS },
	{ "neigh_create", "neigh_create", false, -1, "overflows of the neighbour table have no address", 0 },
	{ "neigh_timer_handler", "neigh_timer_handler", false, FEATURE_NEIGHBOURS,
	  "neighbours that do not answer are not counted", 0 },
};
const int hook_count = sizeof(hooks) / sizeof(hooks[0]);
_Static_assert(sizeof(hooks) / sizeof(hooks[0]) <= HOOKS_MAX, "struct features has a place for each hook");

/* How many arguments a tracepoint has, by the type that tp_btf programs attach to; -1: it does not exist. */
static int tracepoint__arguments(const struct btf *btf, const char *tracepoint)
{
	const struct btf_type *type;
	char name[128];
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	if (id <= 0)
		return -1;
	type = btf__type_by_id(btf, btf__type_by_id(btf, (unsigned)id)->type);
	type = btf__type_by_id(btf, type->type);
	/* The first is the tracepoint's own data. */
	return btf_is_func_proto(type) ? btf_vlen(type) - 1 : 0;
}

static bool struct__has_member(const struct btf *btf, const char *name, const char *member)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type;

	if (id < 0)
		return false;
	type = btf__type_by_id(btf, (unsigned)id);
	for (unsigned i = 0; i < btf_vlen(type); i++) {
		if (strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), member) == 0)
			return true;
	}
	return false;
}

/*
 * Whether the kernel takes a program for this iterator, by loading the smallest. BTF alone does not say: a hardened
 * kernel knows bpf_sk_storage_map and refuses it (seen: EPERM for all iterators over a map's elements).
 */
static bool iterator__loads(const struct btf *btf, const char *iterator)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_ITER);
	char function[128];
	int id, program;

	snprintf(function, sizeof(function), "bpf_iter_%s", iterator);
	id = btf__find_by_name_kind(btf, function, BTF_KIND_FUNC);
	if (id <= 0)
		return false;
	options.attach_btf_id = (__u32)id;
	program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "trial", "GPL", nothing, sizeof(nothing) / sizeof(*nothing),
				&options);
	if (program < 0)
		return false;
	close(program);
	return true;
}

static void features__ask_btf(struct features *features, bool sockets_by_address)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		return;
	features->btf = true;
	for (int i = 0; i < hook_count; i++)
		features->hook[i] = tracepoint__arguments(btf, hooks[i].tracepoint) >= hooks[i].arguments;
	features->drop_receiver = tracepoint__arguments(btf, "kfree_skb") >= DROP_ARGUMENTS_WITH_RECEIVER;
	features->iter_sk_storage = !sockets_by_address && iterator__loads(btf, "bpf_sk_storage_map");
	features->iter_task = iterator__loads(btf, "task_file");
	features->read_only_cast = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	reasons__learn(btf);
	/* 633488947ef6 renamed parent to __parent. */
	features->cgroup_names =
		struct__has_member(btf, "kernfs_node", "parent") || struct__has_member(btf, "kernfs_node", "__parent");
	btf__free(btf);
}

bool cgroup2__find(char *path, unsigned long size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *mount;
	bool found = false;

	if (!mounts)
		return false;
	while (!found && (mount = getmntent(mounts))) {
		found = strcmp(mount->mnt_type, "cgroup2") == 0;
		if (found)
			snprintf(path, size, "%s", mount->mnt_dir);
	}
	endmntent(mounts);
	return found;
}

/* Sockets carry a cgroup of their own only where somebody makes groups in the v2 hierarchy. */
static bool cgroup2__is_used(void)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool used = false;
	DIR *directory;

	if (!cgroup2__find(path, sizeof(path)))
		return false;
	directory = opendir(path);
	if (!directory)
		return false;
	while (!used && (entry = readdir(directory)))
		used = entry->d_type == DT_DIR && entry->d_name[0] != '.';
	closedir(directory);
	return used;
}

void features__detect(struct features *features, bool sockets_by_address)
{
	struct stat namespace = { 0 };

	memset(features, 0, sizeof(*features));
	features__ask_btf(features, sockets_by_address);
	features->cgroup_v2 = cgroup2__is_used();
	if (stat("/proc/self/ns/pid", &namespace) == 0)
		features->pid_namespace = (unsigned)namespace.st_ino;
	/* As the first process of its pid namespace, the probe is alone in it: a container's, and not the host's. */
	features->proc_snmp = features->pid_namespace != 0 && getpid() != 1 && access("/proc/1/net/snmp", R_OK) == 0;
}

uint64_t features__bits(const struct features *features)
{
	uint64_t bits = 0;

	for (int i = 0; i < hook_count; i++) {
		if (hooks[i].feature >= 0 && features->hook[i])
			bits |= 1ULL << hooks[i].feature;
	}
	if (features->iter_sk_storage)
		bits |= 1ULL << FEATURE_WALK_STORAGES;
	if (features->cgroup_names)
		bits |= 1ULL << FEATURE_CGROUP_NAMES;
	if (features->cgroup_v2)
		bits |= 1ULL << FEATURE_CGROUP_V2;
	if (features->proc_snmp)
		bits |= 1ULL << FEATURE_PROC_SNMP;
	return bits;
}
