/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Pins: maps and links as files in bpffs, so that a probe which is killed loses nothing and the next one
 * goes on. The directory carries the protocol's number: maps of another shape are another directory.
 */
#include "load/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load/bpffs.h"
#include "contract/contract.h"
#include "contract/pinned.h"
#include "shared/directory.h"
#include "shared/log.h"

int pins__place(struct pins *pins, const char *wanted, const char *bpffs)
{
	int length = wanted ? snprintf(pins->base, sizeof(pins->base), "%s", wanted)
			    : snprintf(pins->base, sizeof(pins->base), "%s/flowspan", bpffs);

	if (length >= (int)sizeof(pins->base) - 64 || pins->base[0] != '/') {
		log_error("--pins %s: must be an absolute path, such as " BPFFS_USUAL "/flowspan", wanted);
		return -1;
	}
	snprintf(pins->path, sizeof(pins->path), "%s/v%d", pins->base, FLOWSPAN_PROTOCOL);
	return 0;
}

int pins__open(struct pins *pins, const char *wanted)
{
	const char *bpffs = wanted ? NULL : bpffs__find();
	int directory;

	if ((!wanted && !bpffs) || pins__place(pins, wanted, bpffs))
		return -1;
	if (bpffs__make(pins->base))
		return -1;
	directory = directory__open(pins->path, DIRECTORY_OWN, 0700);
	if (directory < 0)
		return -1;
	pins->lock = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(directory);
	/* Searchable: after its start the probe looks at its pins as another user, through a descriptor of this directory. */
	if (pins->lock < 0 || fchmod(pins->lock, 0711) || flock(pins->lock, LOCK_EX)) {
		log_error("%s: cannot lock: %s", pins->path, strerror(errno));
		return -1;
	}
	return 0;
}

void pins__unlock(struct pins *pins)
{
	close(pins->lock);
	pins->lock = -1;
}

/* Makes `map` the same as the one pinned at `path`, where they may differ: in their size. */
static int map__fit(struct bpf_map *map, const char *path)
{
	struct bpf_map_info pinned = { 0 };
	__u32 length = sizeof(pinned);
	int fd = bpf_obj_get(path), failed;

	if (fd < 0) {
		if (errno == ENOENT)
			return 0;
		log_error("%s: cannot open: %s; run as root", path, strerror(errno));
		return -1;
	}
	failed = bpf_obj_get_info_by_fd(fd, &pinned, &length);
	close(fd);
	if (failed || pinned.type != bpf_map__type(map) || pinned.key_size != bpf_map__key_size(map) ||
	    pinned.value_size != bpf_map__value_size(map) || pinned.map_flags != bpf_map__map_flags(map)) {
		log_error("%s has another shape than this probe's map; run flowspan-probe --unpin, which forgets what "
			  "was not exported yet",
			  path);
		return -1;
	}
	if (pinned.max_entries != bpf_map__max_entries(map)) {
		log_warn("%s keeps room for %u entries, not %u: a pinned map cannot grow; --unpin makes it anew", path,
			 pinned.max_entries, bpf_map__max_entries(map));
		bpf_map__set_max_entries(map, pinned.max_entries);
	}
	return 0;
}

/* Maps that belong to one load of the programs; everything else outlives it. */
static bool map__is_pinned(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return !bpf_map__is_internal(map) && strcmp(name, "blank") != 0 && strcmp(name, "unfound") != 0 &&
	       strcmp(name, "drops_running") != 0;
}

int pins__pin_maps(const struct pins *pins, struct bpf_object *object)
{
	char path[PATH_MAX + 128];
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		if (!map__is_pinned(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", pins->path, bpf_map__name(map));
		if (map__fit(map, path))
			return -1;
		if (bpf_map__set_pin_path(map, path)) {
			log_error("%s: cannot pin: %s", path, strerror(errno));
			return -1;
		}
	}
	return 0;
}

int pins__pin_link(const struct pins *pins, uint64_t generation, const char *name, struct bpf_link *link)
{
	char path[PATH_MAX + 128];
	int failed;

	snprintf(path, sizeof(path), "%s/links-%" PRIu64, pins->path, generation);
	if (mkdir(path, 0711) && errno != EEXIST)
		failed = -errno;
	else {
		snprintf(path, sizeof(path), "%s/links-%" PRIu64 "/%s", pins->path, generation, name);
		failed = bpf_link__pin(link, path);
	}
	if (failed)
		log_error("%s: cannot pin: %s", path, strerror(-failed));
	return failed;
}

/* rm -r of `name` in the open directory `parent`, without following a link. Says what it could not remove. */
static int tree__remove(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), failed = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		failed |= entry->d_type == DT_DIR ? tree__remove(fd, entry->d_name) : unlinkat(fd, entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	else if (fd >= 0)
		close(fd);
	if (unlinkat(parent, name, fd < 0 ? 0 : AT_REMOVEDIR) && errno != EBUSY) {
		log_warn("%s: cannot remove: %s", name, strerror(errno));
		failed = -1;
	}
	return failed ? -1 : 0;
}

void pins__remove_links_except(const struct pins *pins, uint64_t generation)
{
	struct dirent *entry;
	char own[64];
	DIR *directory = opendir(pins->path);

	if (!directory) {
		log_warn("%s: cannot list: %s", pins->path, strerror(errno));
		return;
	}
	snprintf(own, sizeof(own), "links-%" PRIu64, generation);
	while ((entry = readdir(directory))) {
		if (strncmp(entry->d_name, "links-", 6) != 0 || strcmp(entry->d_name, own) == 0)
			continue;
		tree__remove(dirfd(directory), entry->d_name);
	}
	closedir(directory);
}

#define SETTINGS_MAX 4096 /* bytes of `settings`, in any protocol */

/*
 * Makes no generation the active one: a probe that runs on these pins ends instead of going on blind.
 * @param path of the pins of one protocol; `generation` is the first field of `settings` in all of them
 */
static void generation__retire(const char *path)
{
	char settings_path[PATH_MAX + 512];
	__u64 value[SETTINGS_MAX / sizeof(__u64)] = { 0 };
	struct bpf_map_info info = { 0 };
	__u32 zero = 0, length = sizeof(info);
	int fd;

	snprintf(settings_path, sizeof(settings_path), "%s/settings", path);
	fd = bpf_obj_get(settings_path);
	if (fd < 0) {
		if (errno != ENOENT)
			log_warn("%s: cannot be opened: %s: a probe that runs on it has to be ended by hand",
				 settings_path, strerror(errno));
		return;
	}
	if (bpf_obj_get_info_by_fd(fd, &info, &length) || info.value_size > sizeof(value) ||
	    bpf_map_lookup_elem(fd, &zero, value)) {
		log_warn("%s: cannot be read: a probe that runs on it has to be ended by hand", settings_path);
	} else {
		value[0] = 0;
		if (bpf_map_update_elem(fd, &zero, value, BPF_ANY))
			log_warn("%s: cannot retire the running probe: %s", settings_path, strerror(errno));
	}
	close(fd);
}

/* Whether a name in the directory of the pins is `v` and the number of a protocol, of one that is not `kept`. */
static bool protocol__is_other(const char *name, const char *kept)
{
	return name[0] == 'v' && name[1] && !name[1 + strspn(name + 1, "0123456789")] && strcmp(name, kept) != 0;
}

/* Retires the pins of every protocol but `kept`, older and newer. @param forget also removes them, and says so */
static void protocols__retire(const struct pins *pins, const char *kept, bool forget)
{
	char path[PATH_MAX + 300];
	struct dirent *entry;
	DIR *directory = opendir(pins->base);

	if (!directory) {
		log_warn("%s: cannot list: %s", pins->base, strerror(errno));
		return;
	}
	while ((entry = readdir(directory))) {
		if (!protocol__is_other(entry->d_name, kept))
			continue;
		snprintf(path, sizeof(path), "%s/%s", pins->base, entry->d_name);
		generation__retire(path);
		if (!forget)
			continue;
		log_warn("%s: removed, a flowspan-probe's of another protocol than this one's %s: "
			 "what it had counted and nobody had exported is gone",
			 path, kept);
		tree__remove(AT_FDCWD, path);
	}
	closedir(directory);
}

void pins__remove_others(const struct pins *pins)
{
	protocols__retire(pins, strrchr(pins->path, '/') + 1, true);
}

int pins__remove(const char *wanted)
{
	const char *bpffs = wanted ? NULL : bpffs__mounted();
	struct pins pins;
	int directory;

	if (!wanted && !bpffs)
		return 0;
	if (pins__place(&pins, wanted, bpffs))
		return -1;
	directory = directory__open(pins.base, DIRECTORY_OWN, 0);
	if (directory < 0)
		return errno == ENOENT ? 0 : -1;
	close(directory); /* nobody else can put anything else under this name */
	if (!bpffs__is(pins.base)) {
		log_error("%s is not on a bpffs, so these are no pins; nothing was removed", pins.base);
		return -1;
	}
	protocols__retire(&pins, "", false);
	return tree__remove(AT_FDCWD, pins.base);
}

bool pins__are_there(const char *wanted)
{
	const char *bpffs = wanted ? NULL : bpffs__mounted();
	struct pins pins;

	if (!wanted && !bpffs)
		return false;
	if (pins__place(&pins, wanted, bpffs))
		return true;
	if (faccessat(AT_FDCWD, pins.base, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
		return false;
	log_info("%s is there", pins.base);
	return true;
}
