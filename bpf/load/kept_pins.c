/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A pin is known by its inode: bpffs never shows which map or link is behind it. The probe holds maps and links open, so
 * that removing their pins takes nothing from it; they would be gone with it. It only looks: to pin again would take rights
 * that it has given up.
 */
#include "load/kept_pins.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flowspan.skel.h"
#include "shared/log.h"

static bool pin__is_kept(const struct kept_pins *kept, const struct kept_pin *pin)
{
	struct stat file;

	return fstatat(kept->directory, pin->name, &file, AT_SYMLINK_NOFOLLOW) == 0 && file.st_ino == pin->inode;
}

/* The kernel adds " (deleted)" to a directory that was removed, and leaves the mount's part out once that is detached. */
static bool directory__is_kept(const struct kept_pins *kept)
{
	char link[64], place[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", kept->directory);
	length = readlink(link, place, sizeof(place) - 1);
	if (length < 0)
		return true; /* no /proc: nothing speaks against it */
	place[length] = '\0';
	return strcmp(place, kept->place) == 0;
}

/* Opens the directory and notes where it is. */
static int directory__note(struct kept_pins *kept, const char *path)
{
	char link[64];
	ssize_t length;

	kept->directory = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (kept->directory < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", kept->directory);
	length = readlink(link, kept->place, sizeof(kept->place) - 1);
	kept->place[length < 0 ? 0 : length] = '\0';
	return 0;
}

static int pin__note(struct kept_pins *kept, const char *name)
{
	struct kept_pin *pin = &kept->pin[kept->count];
	struct stat file;

	if (kept->count == KEPT_PINS_MAX || fstatat(kept->directory, name, &file, AT_SYMLINK_NOFOLLOW))
		return -1;
	snprintf(pin->name, sizeof(pin->name), "%s", name);
	pin->inode = file.st_ino;
	kept->count++;
	return 0;
}

int kept_pins__note(struct kept_pins *kept, const struct pins *pins, const struct programs *programs)
{
	struct bpf_map *map;
	char name[128];
	int failed;

	*kept = (struct kept_pins){ 0 };
	failed = directory__note(kept, pins->path);
	bpf_object__for_each_map (map, programs->skeleton->obj) {
		if (!failed && bpf_map__is_pinned(map))
			failed = pin__note(kept, bpf_map__name(map));
	}
	for (int i = 0; i < hook_count && !failed; i++) {
		if (!programs->hooks[i])
			continue;
		snprintf(name, sizeof(name), "links-%" PRIu64 "/%s", programs->generation, hooks[i].program);
		failed = pin__note(kept, name);
	}
	if (failed)
		log_error("%s: cannot look at the pins: %s", pins->path, strerror(errno));
	return failed;
}

bool kept_pins__are_there(const struct kept_pins *kept)
{
	if (!directory__is_kept(kept))
		return false;
	for (int i = 0; i < kept->count; i++) {
		if (!pin__is_kept(kept, &kept->pin[i]))
			return false;
	}
	return true;
}

bool kept_pins__has_links(const struct kept_pins *kept, uint64_t generation)
{
	char name[64];
	struct stat file;

	snprintf(name, sizeof(name), "links-%" PRIu64, generation);
	return fstatat(kept->directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0;
}
