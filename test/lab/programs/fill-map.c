/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adds elements to a map until it takes no more, as many programs together would: fill-map PINNED_MAP. Prints how many.
 *
 * Each key is its number, from the highest down: no address of a socket.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long ask(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int fail(const char *what)
{
	fprintf(stderr, "fill-map: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	union bpf_attr get = { 0 }, about = { 0 }, update = { 0 };
	struct bpf_map_info info = { 0 };
	unsigned long added = 0;
	char *key, *value;
	long map;

	if (argc != 2) {
		fprintf(stderr, "usage: fill-map PINNED_MAP\n");
		return 2;
	}
	get.pathname = (__u64)(unsigned long)argv[1];
	map = ask(BPF_OBJ_GET, &get);
	if (map < 0)
		return fail(argv[1]);
	about.info.bpf_fd = (__u32)map;
	about.info.info_len = sizeof(info);
	about.info.info = (__u64)(unsigned long)&info;
	if (ask(BPF_OBJ_GET_INFO_BY_FD, &about) < 0)
		return fail(argv[1]);
	key = calloc(1, info.key_size);
	value = calloc(1, info.value_size);
	if (!key || !value || info.key_size < sizeof(__u64))
		return fail("no memory, or keys that are too short");
	update.map_fd = (__u32)map;
	update.key = (__u64)(unsigned long)key;
	update.value = (__u64)(unsigned long)value;
	update.flags = BPF_NOEXIST;
	do {
		__u64 number = ~(__u64)added;

		memcpy(key, &number, sizeof(number));
	} while (ask(BPF_MAP_UPDATE_ELEM, &update) == 0 && ++added);
	if (errno != E2BIG)
		return fail("it refuses for another reason than its room");
	printf("%lu\n", added);
	return 0;
}
