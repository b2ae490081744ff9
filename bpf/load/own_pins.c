/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A pin is known by its inode: bpffs never shows which map or link is behind it. The probe holds maps and links open, so
 * that removing their pins takes nothing from it; they would be gone with it. It only looks: to pin again would take rights
 * that it has given up.
 */
#include "load/own_pins.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flowspan.skel.h"
#include "shared/log.h"

static bool pin__is_there(const struct own_pins *own, const struct own_pin *pin)
{
	struct stat file;

	return fstatat(own->directory, pin->name, &file, AT_SYMLINK_NOFOLLOW) == 0 && file.st_ino == pin->inode;
}

/* The kernel adds " (deleted)" to a directory that was removed, and leaves the mount's part out once that is detached. */
static bool directory__is_there(const struct own_pins *own)
{
	char link[64], place[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", own->directory);
	length = readlink(link, place, sizeof(place) - 1);
	if (length < 0)
		return true; /* no /proc: nothing speaks against it */
	place[length] = '\0';
	return strcmp(place, own->place) == 0;
}

/* Opens the directory and notes where it is. */
static int directory__note(struct own_pins *own, const char *path)
{
	char link[64];
	ssize_t length;

	own->directory = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own->directory < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", own->directory);
	length = readlink(link, own->place, sizeof(own->place) - 1);
	own->place[length < 0 ? 0 : length] = '\0';
	return 0;
}

static int pin__note(struct own_pins *own, const char *name)
{
	struct own_pin *pin = &own->pin[own->count];
	struct stat file;

	if (own->count == OWN_PINS_MAX || fstatat(own->directory, name, &file, AT_SYMLINK_NOFOLLOW))
		return -1;
	snprintf(pin->name, sizeof(pin->name), "%s", name);
	pin->inode = file.st_ino;
	own->count++;
	return 0;
}

int own_pins__note(struct own_pins *own, const struct pins *pins, const struct programs *programs)
{
	struct bpf_map *map;
	char name[128];
	int failed;

	*own = (struct own_pins){ 0 };
	failed = directory__note(own, pins->path);
	bpf_object__for_each_map (map, programs->skeleton->obj) {
		if (!failed && bpf_map__is_pinned(map))
			failed = pin__note(own, bpf_map__name(map));
	}
	for (int i = 0; i < hook_count && !failed; i++) {
		if (!programs->hooks[i])
			continue;
		snprintf(name, sizeof(name), "links-%" PRIu64 "/%s", programs->generation, hooks[i].program);
		failed = pin__note(own, name);
	}
	if (failed)
		log_error("%s: cannot look at the pins: %s", pins->path, strerror(errno));
	return failed;
}

bool own_pins__are_there(const struct own_pins *own)
{
	if (!directory__is_there(own))
		return false;
	for (int i = 0; i < own->count; i++) {
		if (!pin__is_there(own, &own->pin[i]))
			return false;
	}
	return true;
}

bool own_pins__has_links(const struct own_pins *own, uint64_t generation)
{
	char name[64];
	struct stat file;

	snprintf(name, sizeof(name), "links-%" PRIu64, generation);
	return fstatat(own->directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0;
}
