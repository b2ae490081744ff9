/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* /proc/self/cgroup and a cgroup's memory files as kernels print them; and a hierarchy of plain files in a directory. */
#include "exchange/own_memory.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/log.h"

void log__write(enum log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}

static void name__expect(const char *text, const char *expected, bool expected_v1)
{
	char copy[1024];
	const char *name;
	bool is_v1;

	snprintf(copy, sizeof(copy), "%s", text);
	name = own_memory__parse_name(copy, &is_v1);
	assert(expected ? name && strcmp(name, expected) == 0 : !name);
	assert(is_v1 == expected_v1);
}

static void the_name_is_of_the_hierarchy_that_has_the_memory_controller(void)
{
	name__expect("0::/kubepods.slice/a:b\n", "/kubepods.slice/a:b", false);
	name__expect("0::/\n", "/", false);
	name__expect("9:name=systemd:/x\n4:memory:/docker/7\n0::/unified\n", "/docker/7", true);
	name__expect("1:cpu,cpuacct:/x\n0::/y", "/y", false);
	name__expect("1:cpu,cpuacct:/x\n", NULL, false);
	name__expect("0::\n:\n\n0:", NULL, false);
	name__expect("", NULL, false);
}

static void no_limit_is_0(void)
{
	assert(own_memory__parse_bytes("134217728\n") == 134217728);
	assert(own_memory__parse_bytes("max\n") == 0);
	assert(own_memory__parse_bytes("9223372036854771712\n") == 0); /* v1 */
	assert(own_memory__parse_bytes("99999999999999999999999\n") == 0);
	assert(own_memory__parse_bytes("-1\n") == 0);
	assert(own_memory__parse_bytes("") == 0);
}

static void file__write(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void expect(const char *directory, __u64 expected_usage, __u64 expected_limit)
{
	struct own_memory memory = { .directory = open(directory, O_RDONLY | O_DIRECTORY) };
	__u64 usage = 23, limit = 29;

	assert(memory.directory >= 0);
	own_memory__read(&memory, &usage, &limit);
	close(memory.directory);
	assert(usage == expected_usage && limit == expected_limit);
}

static void the_lowest_limit_on_the_way_up_counts_with_its_usage(void)
{
	char top[] = "/tmp/own-memory-XXXXXX", middle[64], inner[96], leaf[128], remove[64];
	struct own_memory unknown = { .directory = -1 };
	__u64 usage = 23, limit = 29;

	assert(mkdtemp(top)); /* the root: no files */
	snprintf(middle, sizeof(middle), "%s/middle", top);
	snprintf(inner, sizeof(inner), "%s/inner", middle);
	snprintf(leaf, sizeof(leaf), "%s/leaf", inner); /* without the controller */
	assert(mkdir(middle, 0700) == 0 && mkdir(inner, 0700) == 0 && mkdir(leaf, 0700) == 0);
	file__write(middle, "memory.current", "7000\n");
	file__write(middle, "memory.max", "max\n");
	file__write(inner, "memory.current", "5000\n");
	file__write(inner, "memory.max", "max\n");
	expect(leaf, 5000, 0);
	expect(inner, 5000, 0);
	expect(top, 0, 0);
	file__write(middle, "memory.max", "9000\n");
	expect(leaf, 7000, 9000);
	file__write(inner, "memory.max", "9000\n");
	expect(leaf, 5000, 9000);
	file__write(inner, "memory.max", "9001\n");
	expect(inner, 7000, 9000);
	own_memory__read(&unknown, &usage, &limit);
	assert(usage == 0 && limit == 0);
	snprintf(remove, sizeof(remove), "rm -r %s", top);
	assert(system(remove) == 0);
}

int main(void)
{
	the_name_is_of_the_hierarchy_that_has_the_memory_controller();
	no_limit_is_0();
	the_lowest_limit_on_the_way_up_counts_with_its_usage();
	return 0;
}
