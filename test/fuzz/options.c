/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The command line, an argument a line. What is refused is explained in one line, what is taken needs no word, and numbers
 * that were taken lie within their bounds.
 */
#include "shared/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzzing.h"

#define ARGUMENTS_MAX 16

static void options__judge(const struct options *options)
{
	assert(said__lines() == 0);
	if (options->mode == MODE_DONE)
		return;
	assert(options->edges >= 16 && options->edges <= EDGES_MAX);
	assert(options->user >= 1);
	if (options->mode != MODE_RUN && options->mode != MODE_IS_LISTENING)
		return;
	assert(!options->socket_path != !options->stdio);
	assert(!options->socket_path || options->socket_path[0] == '/');
	assert((options->records_ring & (options->records_ring - 1)) == 0);
	assert(options->records_ring >= (unsigned)sysconf(_SC_PAGESIZE));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = text__copy(bytes, size), *state, *arguments[ARGUMENTS_MAX + 2] = { "\n" };
	struct options options;
	int count = 1, failed;

	/* --help and --version go to stdout. */
	if (!freopen("/dev/null", "w", stdout))
		abort();
	for (char *each = strtok_r(text, "\n", &state); each && count <= ARGUMENTS_MAX;
	     each = strtok_r(NULL, "\n", &state))
		arguments[count++] = each;
	said__clear();
	optind = 0; /* getopt_long() begins anew */
	failed = options__parse(&options, count, arguments);
	if (failed)
		/* What it blames is an argument, and not the program, whose name no argument can have. */
		assert(failed == -1 && said__lines() == 1 && strncmp(said__last(), arguments[0], strlen(arguments[0])));
	else
		options__judge(&options);
	free(text);
	return 0;
}
