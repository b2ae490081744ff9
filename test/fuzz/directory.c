/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Paths that a privileged process is told to use, below a directory with links of every kind. What opens is a directory.
 * What does not open is explained, or is not there. Nothing is made.
 */
#include "shared/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzzing.h"

static char base[] = "/tmp/flowspan-fuzz-XXXXXX";

/* All of it goes with the process, also after a crash. */
static void base__remove(void)
{
	static const char *const names[] = { "a/loop", "a/up", "a/b", "a", "link", "self", "file", "wide", "long", "" };
	char path[sizeof(base) + 16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", base, names[i]);
		remove(path);
	}
}

static void base__make(void)
{
	static char target[PATH_MAX];
	int failed = !mkdtemp(base) || chdir(base), file;

	atexit(base__remove);
	memset(target, 'x', sizeof(target) - 1);
	memcpy(target, "/a/", 3);
	failed = failed || mkdir("a", 0755) || mkdir("a/b", 0755) || mkdir("wide", 0755) || chmod("wide", 0777);
	failed = failed || symlink("a/b", "link") || symlink("self", "self") || symlink("..", "a/up");
	failed = failed || symlink("../a/loop", "a/loop") || symlink(target, "long");
	file = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (failed || file < 0 || close(file) || chdir("/"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool made;
	char *text = text__copy(bytes, size), *path = malloc(sizeof(base) + 1 + strlen(text));
	struct stat file;
	int fd;

	if (!made)
		base__make();
	made = true;
	assert(path);
	/* An absolute path is one of the machine's own: these are asked too. */
	sprintf(path, "%s%s%s", text[0] == '/' ? "" : base, text[0] == '/' ? "" : "/", text);
	said__clear();
	fd = size % 2 ? directory__open(path, DIRECTORY_OWN, 0) : directory__open_parent(path, DIRECTORY_SHARED, 0);
	if (fd >= 0) {
		assert(fstat(fd, &file) == 0 && S_ISDIR(file.st_mode) && said__lines() == 0);
		assert(close(fd) == 0);
	} else {
		assert(errno == ENOENT || (said__lines() == 1 && said__last()[0]));
	}
	free(path);
	free(text);
	return 0;
}
