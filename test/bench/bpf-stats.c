/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel measure BPF programs for as long as this process lives: prints "on", then waits for the end of stdin.
 * The kernel switches it off with the last such file descriptor, so that no crash leaves it on.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	union bpf_attr attr;
	char byte;

	memset(&attr, 0, sizeof(attr));
	attr.enable_stats.type = BPF_STATS_RUN_TIME;
	if (syscall(SYS_bpf, BPF_ENABLE_STATS, &attr, sizeof(attr)) < 0) {
		perror("bpf-stats: BPF_ENABLE_STATS");
		return 1;
	}
	if (write(STDOUT_FILENO, "on\n", 3) != 3)
		return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
