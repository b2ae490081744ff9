/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets a link lead to another program, as somebody with CAP_BPF and CAP_SYS_ADMIN may: relink LINK_ID PROGRAM_ID.
 *
 * The kernel takes it for links of iterators, where both programs iterate over the same. Whoever holds the link sees nothing of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ask(int command, union bpf_attr *attr, const char *what)
{
	long answer = syscall(SYS_bpf, command, attr, sizeof(*attr));

	if (answer < 0) {
		fprintf(stderr, "relink: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return (int)answer;
}

int main(int argc, char **argv)
{
	union bpf_attr attr = { 0 };
	int link, program;

	if (argc != 3) {
		fprintf(stderr, "usage: relink LINK_ID PROGRAM_ID\n");
		return 2;
	}
	attr.link_id = (__u32)atol(argv[1]);
	link = ask(BPF_LINK_GET_FD_BY_ID, &attr, "no such link");
	memset(&attr, 0, sizeof(attr));
	attr.prog_id = (__u32)atol(argv[2]);
	program = ask(BPF_PROG_GET_FD_BY_ID, &attr, "no such program");
	memset(&attr, 0, sizeof(attr));
	attr.link_update.link_fd = (__u32)link;
	attr.link_update.new_prog_fd = (__u32)program;
	ask(BPF_LINK_UPDATE, &attr, "the link cannot lead there");
	return 0;
}
