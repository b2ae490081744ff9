/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which level of a cgroup's path is the tenant and which one names what runs there: for the layouts of kubelets, runtimes and
 * systemd, and for paths that somebody made to get a share of their own for each directory.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cgroup_names.h"

#define ID "4f0c6e1a9d2b7c3e5f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6"
#define UID_ "8f3a1b2c_4d5e_6f70_8192_a3b4c5d6e7f8"
#define UID "8f3a1b2c-4d5e-6f70-8192-a3b4c5d6e7f8"
#define STATIC_UID "0123456789abcdef0123456789abcdef"
#define SLICES "kubepods.slice/kubepods-burstable.slice"
#define POD "kubepods-burstable-pod" UID_ ".slice"
#define SCOPE "cri-containerd-" ID ".scope"

static const struct {
	const char *path;
	__u32 tenant, named;
} PATHS[] = {
	/* The kubelet's drivers. */
	{ SLICES "/" POD "/" SCOPE, 3, 4 },
	{ SLICES "/" POD, 3, 3 },
	{ "kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope", 2, 3 },
	{ "kubepods.slice/kubepods-pod" STATIC_UID ".slice/crio-" ID ".scope/a/b", 2, 3 },
	{ "kubepods/burstable/pod" UID "/" ID, 3, 4 },
	{ "kubepods/besteffort/pod" UID "/crio-" ID "/supervised", 3, 4 },
	{ "kubepods/pod" STATIC_UID "/" ID, 2, 3 },
	{ "kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID, 1, 1 },
	{ "system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID "/a", 3, 3 },
	{ "machine.slice/libpod-" ID ".scope/container/kubelet.slice/kubelet-kubepods.slice/kubelet-" POD "/" SCOPE, 6,
	  7 },
	/* Runtimes without Kubernetes, systemd, users, nothing. */
	{ "docker/" ID "/init.scope", 2, 2 },
	{ "system.slice/docker-" ID ".scope", 2, 2 },
	{ "system.slice/web.service", 2, 2 },
	{ "machine.slice/machine-qemu.scope/libvirt/emulator", 2, 2 },
	{ "user.slice/user-1000.slice/session-3.scope", 2, 3 },
	{ "user.slice/user-1000.slice/user@1000.service", 2, 3 },
	{ "user.slice", 1, 1 },
	{ "plain/of/three", 1, 3 },
	{ "", 0, 0 },
	/* What somebody makes below their own level. */
	{ SLICES "/" POD "/" SCOPE "/" SLICES "/" POD "/" SCOPE, 3, 4 },
	{ SLICES "/" POD "/" SCOPE "/a/b/c/d", 3, 4 },
	{ "user.slice/user-1000.slice/user@1000.service/app.slice/" SLICES "/" POD, 2, 3 },
	{ "user.slice/user-1000.slice/user@1000.service/user.slice/user-0.slice", 2, 3 },
	{ "system.slice/web.service/a/b/c/d", 2, 2 },
	{ "system.slice/web.service/user-1.slice/user-2.slice", 2, 2 },
	{ "user.slice/user-1000.slice/session-3.scope/" POD, 2, 4 },
	/* Nearly. */
	{ "kubepods-pod1234.slice/x.service/y", 2, 2 },
	{ "tripod" STATIC_UID "/x", 1, 2 },
	{ "users.slice/user.service", 2, 2 },
	{ "a" ID "/b" ID ".scope.d/" ID "a", 1, 3 },
	{ "x/" ID ".d/y", 1, 3 },
};

static __u32 flags_of(const char *name, size_t length)
{
	struct name_scan scan = { 0 };

	for (size_t i = 0; i < length; i++)
		name__take(&scan, (__u8)name[i]);
	return name__flags(&scan);
}

static struct cgroup_levels levels_of(const char *path)
{
	struct cgroup_levels levels = { 0 };
	__u32 level = 0;

	while (*path) {
		size_t length = strcspn(path, "/");

		levels__take(&levels, ++level, flags_of(path, length));
		path += length + (path[length] == '/');
	}
	levels__end(&levels);
	return levels;
}

int main(void)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
		struct cgroup_levels levels = levels_of(PATHS[i].path);

		if (levels.tenant == PATHS[i].tenant && levels.named == PATHS[i].named)
			continue;
		fprintf(stderr, "%s: tenant %u and named %u, not %u and %u\n", PATHS[i].path, levels.tenant,
			levels.named, PATHS[i].tenant, PATHS[i].named);
		wrong = 1;
	}
	if (!wrong)
		puts("cgroup_names_test: ok");
	return wrong;
}
