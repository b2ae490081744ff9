/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The running kernel's BTF → names of drop reasons: enum skb_drop_reason, and the enums of subsystems, which are modules with
 * BTF of their own and have a range each (the upper half of the number).
 */
#include "load/reasons.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "shared/log.h"

#define REASONS_MAX 512
#define SUBSYSTEM_SHIFT 16

static struct reason {
	__u32 number;
	char name[REASON_NAME_MAX];
} reasons[REASONS_MAX];
static int reason_count;

static const char *name__without_prefix(const char *name)
{
	static const char *const prefixes[] = { "SKB_DROP_REASON_", "SKB_" };

	for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return name + strlen(prefixes[i]);
	}
	return name;
}

static void reason__add(__u32 number, const char *name)
{
	if (reason_count == REASONS_MAX)
		return;
	reasons[reason_count].number = number;
	snprintf(reasons[reason_count].name, REASON_NAME_MAX, "%s", name__without_prefix(name));
	reason_count++;
}

/* @param subsystems take what has an upper half, else what has none */
static void enum__learn(const struct btf *btf, const struct btf_type *type, bool subsystems)
{
	const struct btf_enum *values = btf_enum(type);

	for (int i = 0; i < btf_vlen(type); i++) {
		__u32 number = (__u32)values[i].val;

		if (subsystems == (number >> SUBSYSTEM_SHIFT != 0))
			reason__add(number, btf__name_by_offset(btf, values[i].name_off));
	}
}

/* Enums of subsystems are called after skb_drop_reason, each in its own way: ovs_drop_reason, ___mac80211_drop_reason. */
static void btf__learn(const struct btf *btf, __u32 from)
{
	for (__u32 id = from; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf_is_enum(type) ? btf__name_by_offset(btf, type->name_off) : NULL;

		if (name && strcmp(name, "skb_drop_reason") != 0 && strstr(name, "drop_reason"))
			enum__learn(btf, type, true);
	}
}

static void modules__learn(struct btf *kernel)
{
	DIR *directory = opendir("/sys/kernel/btf");
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		struct btf *module;

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "vmlinux") == 0)
			continue;
		module = btf__load_module_btf(entry->d_name, kernel);
		if (!module)
			continue; /* its reasons are shown as numbers */
		btf__learn(module, btf__type_cnt(kernel));
		btf__free(module);
	}
	closedir(directory);
}

void reasons__learn(struct btf *kernel)
{
	int id = btf__find_by_name_kind(kernel, "skb_drop_reason", BTF_KIND_ENUM);

	reason_count = 0;
	if (id > 0)
		enum__learn(kernel, btf__type_by_id(kernel, (__u32)id), false);
	btf__learn(kernel, 1);
	modules__learn(kernel);
}

void reason__name(__u32 reason, char name[REASON_NAME_MAX])
{
	name[0] = '\0';
	for (int i = 0; i < reason_count; i++) {
		if (reasons[i].number == reason) {
			memcpy(name, reasons[i].name, REASON_NAME_MAX);
			return;
		}
	}
}
