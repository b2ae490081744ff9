/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Privileges after the start. Tried on 6.18: reading iterators, running the settle program, batch reads,
 * trie updates and program information all work with CAP_BPF alone; without it they fail where
 * kernel.unprivileged_bpf_disabled is 1 or 2. Maps and links are used through file descriptors opened before.
 */
#include "probe/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load/capability.h"
#include "shared/log.h"

static int capabilities__write(uint64_t permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)permitted, .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(permitted >> 32), .permitted = (uint32_t)(permitted >> 32) },
	};

	return (int)syscall(SYS_capset, &header, data);
}

/* Empties the bounding set where that is allowed (it takes CAP_SETPCAP); NO_NEW_PRIVS makes up for the rest. */
static void bounding__clear(void)
{
	if (!capability__held(CAP_SETPCAP)) {
		log_debug("the bounding set stays: dropping it takes CAP_SETPCAP");
		return;
	}
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability))
			log_warn("cannot drop capability %d from the bounding set: %s", capability, strerror(errno));
	}
}

static int user__become(uid_t user)
{
	gid_t group = (gid_t)user;

	if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) || setresgid(group, group, group) ||
	    setresuid(user, user, user)) {
		log_error("cannot become user %u: %s; allow CAP_SETUID and CAP_SETGID, or add --stay-root", user,
			  strerror(errno));
		return -1;
	}
	return 0;
}

const char *privileges__missing(bool stay)
{
	bool uid = capability__held(CAP_SETUID), gid = capability__held(CAP_SETGID);

	if (geteuid() != 0 || stay || (uid && gid))
		return NULL;
	if (uid)
		return "CAP_SETGID is missing, so root cannot become another user";
	return gid ? "CAP_SETUID is missing, so root cannot become another user"
		   : "CAP_SETUID and CAP_SETGID are missing, so root cannot become another user";
}

int privileges__drop(uid_t user, bool stay)
{
	/* Before 5.8 there was no CAP_BPF; no such kernel runs our programs. */
	uint64_t kept = 1ULL << CAP_BPF;

	if (!capability__held(CAP_BPF)) {
		log_error("CAP_BPF is missing: run with sudo, or allow CAP_BPF and CAP_PERFMON");
		return -1;
	}
	bounding__clear();
	if (geteuid() == 0 && !stay && user__become(user))
		return -1;
	/* Not dumpable: another process of this user may not trace it, nor read its memory. fs.suid_dumpable may differ. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) || capabilities__write(kept) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		log_error("cannot drop privileges: %s", strerror(errno));
		return -1;
	}
	return 0;
}
