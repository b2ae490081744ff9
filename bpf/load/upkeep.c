/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 *   pins    by inode               → counting goes on without; a start would begin anew
 *   links   by the program behind  → a start attaches them anew
 *   filter  path → inode           → systemd makes a slice anew under the same path: a start counts the new one
 *
 * Whoever serves has given up the right to attach (probe/confine.h). So where a start mends a trouble, the probe ends: its
 * supervisor, the kubelet or systemd starts it again, and the pins keep all that was counted. Without them it stays.
 * Some 40 system calls a second.
 */
#include "load/upkeep.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "contract/frames.h"
#include "flowspan.skel.h"
#include "shared/log.h"

#define SAY_PINS                                                                                                 \
	"the pins were removed, or their bpffs unmounted: counting goes on, and what no Collector has accepted " \
	"when this probe ends is lost"

/* True when the trouble begins or is over. */
static bool trouble__set(struct upkeep *upkeep, enum probe_trouble trouble, bool is_there)
{
	uint64_t before = upkeep->troubles, bit = 1ULL << trouble;

	upkeep->troubles = is_there ? before | bit : before & ~bit;
	return upkeep->troubles != before;
}

static void pins__check(struct upkeep *upkeep)
{
	bool are_missing = !own_pins__are_there(&upkeep->pins);

	if (!trouble__set(upkeep, TROUBLE_PINS, are_missing))
		return;
	if (are_missing)
		log_error("%s: " SAY_PINS "; let the agent export, then start both again", upkeep->path);
	else
		log_info("%s: the pins are back", upkeep->path);
}

/* A trouble that a start mends. Without pins a start would lose what was counted: then it stays. */
static void start__mends(struct upkeep *upkeep, enum probe_trouble trouble, enum loss loss)
{
	if (!trouble__set(upkeep, trouble, true))
		return;
	loss__count(upkeep->maps, loss, 1);
	upkeep->starts_anew = !(upkeep->troubles & 1ULL << TROUBLE_PINS);
}

/* Whether the link is still there and leads to our program. */
static bool link__is_ours(const struct bpf_link *link, const struct bpf_program *program)
{
	struct bpf_prog_info info = { 0 };
	struct bpf_link_info now = { 0 };
	__u32 length = sizeof(info), now_length = sizeof(now);

	return bpf_obj_get_info_by_fd(bpf_link__fd(link), &now, &now_length) == 0 &&
	       bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) == 0 && now.prog_id == info.id;
}

static bool link__check(struct upkeep *upkeep, const struct bpf_link *link, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(upkeep->programs->skeleton->obj, name);

	if (!link || link__is_ours(link, program))
		return true;
	if (!(upkeep->troubles & 1ULL << TROUBLE_HOOKS))
		log_error("%s: was detached or leads to another program: the probe has to start again", name);
	return false;
}

static void links__check(struct upkeep *upkeep)
{
	struct programs *programs = upkeep->programs;
	bool all_ours = link__check(upkeep, programs->walk, "walk");

	all_ours &= link__check(upkeep, programs->namespaces, "namespaces");
	for (int i = 0; i < hook_count; i++)
		all_ours &= link__check(upkeep, programs->hooks[i], hooks[i].program);
	if (!all_ours)
		start__mends(upkeep, TROUBLE_HOOKS, LOSS_HOOK_GAP);
}

static void filter__check(struct upkeep *upkeep)
{
	__u64 counted = upkeep->maps->settings->filter_cgroup;
	struct stat directory;
	bool is_gone;

	if (!counted)
		return;
	is_gone = stat(upkeep->cgroup, &directory) && errno == ENOENT;
	if (!is_gone && directory.st_ino != counted) {
		log_warn("--cgroup %s was made again: the probe starts again, to count the new one", upkeep->cgroup);
		trouble__set(upkeep, TROUBLE_FILTER, false);
		start__mends(upkeep, TROUBLE_FILTER, LOSS_FILTER_GAP);
	} else if (trouble__set(upkeep, TROUBLE_FILTER, is_gone) && is_gone) {
		log_error("--cgroup %s was removed: nothing is counted until it is made again", upkeep->cgroup);
	}
}

int upkeep__open(struct upkeep *upkeep, struct programs *programs, struct pinned_maps *maps, const struct pins *pins,
		 const char *cgroup)
{
	*upkeep = (struct upkeep){ .programs = programs, .maps = maps, .cgroup = cgroup };
	upkeep->path = pins->path;
	return own_pins__note(&upkeep->pins, pins, programs);
}

bool upkeep__check(struct upkeep *upkeep)
{
	uint64_t before = upkeep->troubles;

	pins__check(upkeep);
	links__check(upkeep);
	filter__check(upkeep);
	return upkeep->troubles != before;
}

bool upkeep__is_replaced(struct upkeep *upkeep)
{
	uint64_t own = upkeep->programs->generation;
	__u64 now = __atomic_load_n(&upkeep->maps->settings->generation, __ATOMIC_ACQUIRE);

	if (now == own)
		return false;
	if (!now || own_pins__has_links(&upkeep->pins, now))
		return true;
	/* By compare-and-swap: a newer probe may take over in this very moment. */
	if (!__atomic_compare_exchange_n(&upkeep->maps->settings->generation, &now, own, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return true;
	loss__count(upkeep->maps, LOSS_HOOK_GAP, (__u64)hook_count);
	log_warn("settings.generation was changed to %" PRIu64
		 " by hand, and no program of that number is there: it is "
		 "%" PRIu64 " again",
		 (uint64_t)now, own);
	return false;
}
