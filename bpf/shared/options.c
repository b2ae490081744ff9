/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The command line and two variables: arguments in, struct options out. Every refusal names the argument and ends in
 * what to write instead. Touches nothing outside the process.
 */
#include "shared/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "contract/contract.h"
#include "shared/log.h"

enum {
	OPT_SOCKET = 256,
	OPT_SOCKET_UID,
	OPT_SOCKET_GID,
	OPT_STDIO,
	OPT_SUPERVISE,
	OPT_PINS,
	OPT_CGROUP,
	OPT_EDGES,
	OPT_SOCKETS,
	OPT_RECORDS_RING,
	OPT_USER,
	OPT_STAY_ROOT,
	OPT_UNPIN,
	OPT_EVERY,
	OPT_IS_UNPINNED,
	OPT_CHECK,
	OPT_IS_LISTENING,
	OPT_LOG_LEVEL
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "socket-uid", required_argument, NULL, OPT_SOCKET_UID },
	{ "socket-gid", required_argument, NULL, OPT_SOCKET_GID },
	{ "stdio", no_argument, NULL, OPT_STDIO },
	{ "supervise", no_argument, NULL, OPT_SUPERVISE },
	{ "pins", required_argument, NULL, OPT_PINS },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "edges", required_argument, NULL, OPT_EDGES },
	{ "sockets", required_argument, NULL, OPT_SOCKETS },
	{ "records-ring", required_argument, NULL, OPT_RECORDS_RING },
	{ "user", required_argument, NULL, OPT_USER },
	{ "stay-root", no_argument, NULL, OPT_STAY_ROOT },
	{ "unpin", no_argument, NULL, OPT_UNPIN },
	{ "every", required_argument, NULL, OPT_EVERY },
	{ "is-unpinned", no_argument, NULL, OPT_IS_UNPINNED },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "is-listening", no_argument, NULL, OPT_IS_LISTENING },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

#define TEXT(number) #number
#define TEXT_OF(macro) TEXT(macro)
#define SOCKETS_TEXT TEXT_OF(SOCKETS_ROOM)

static const char help[] =
	"Usage: flowspan-probe (--socket PATH | --stdio) [OPTIONS]\n"
	"       flowspan-probe (--check | --unpin [--every N] | --is-unpinned) [--pins DIR]\n"
	"       flowspan-probe --is-listening --socket PATH [--socket-uid UID]\n"
	"\n"
	"Loads flowspan's kernel programs, and gives one agent what they have counted. What is counted stays in\n"
	"the kernel, also when the probe ends: start it again and it goes on where it was.\n"
	"\n"
	"  --socket PATH         listen for the agent on this Unix socket; a new agent replaces the old one\n"
	"  --socket-gid GID      who may connect: group of the socket (mode 0660); an agent's is 2140035692\n"
	"  --socket-uid UID      likewise, its owner\n"
	"  --stdio               frames on stdin and stdout instead; ends when stdin closes\n"
	"  --supervise           start the probe as a child and again when it dies; end when stdin, if a pipe, closes\n"
	"  --pins DIR            where maps and links are pinned (default: /sys/fs/bpf/flowspan)\n"
	"  --cgroup DIR          count only sockets of this cgroup and those below (default: all)\n"
	"  --edges N             room for N edges, 16 to 1000000 (default: 65536); used when the pins are made\n"
	"  --sockets N           room for N open sockets, 16 to 4194304 (default: " SOCKETS_TEXT
	"), where the kernel refuses to walk\n"
	"                        what lies in sockets; used when the pins are made\n"
	"  --records-ring BYTES  room for connection records on their way, a power of two (default: 1048576)\n"
	"  --user UID            the user to become once all is attached (default: 2140035691 when started as root)\n"
	"  --stay-root           keep the user; capabilities are dropped all the same\n"
	"  --check               say as JSON what this kernel allows; leaves nothing behind\n"
	"  --is-listening        say as JSON whether a probe listens on the socket; disturbs nobody\n"
	"  --unpin               detach and forget: removes all pins, and with them what was not exported yet\n"
	"  --every N             with --unpin: again each N seconds, until it is ended; a late probe could make pins "
	"anew\n"
	"  --is-unpinned         exit with 0 where there are no pins, else with 1\n"
	"  --log-level LEVEL     debug, info (default), warn or error\n"
	"  --version, --help\n"
	"\n"
	"Environment:\n"
	"  FLOWSPAN_SOCKETS=by-address   for tests: as where the kernel refuses to walk what lies in sockets\n"
	"  FLOWSPAN_SECCOMP=off  after the start, too, allow every system call; else those that serving needs\n"
	"\n"
	"Examples:\n"
	"  flowspan-probe --check\n"
	"  flowspan-probe --socket /run/flowspan/probe.sock --socket-gid 2140035692\n"
	"  flowspan-probe --socket /run/a.sock --pins /sys/fs/bpf/flowspan-a --cgroup /sys/fs/cgroup/kubelet.slice\n"
	"  flowspan-probe --unpin\n"
	"\n"
	"Exit code: 0 ended as asked (also: a newer probe took over), 1 could not start, 2 wrong arguments,\n"
	"3 failed while running.\n";

static int number__parse(const char *option, const char *text, unsigned long lowest, unsigned long highest,
			 unsigned long *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || *number < lowest || *number > highest) {
		log_error("--%s %s: must be a whole number from %lu to %lu", option, text, lowest, highest);
		return -1;
	}
	return 0;
}

/* Options whose value is a whole number within bounds: what it says of `struct options`. */
static const struct number_option {
	int option;
	const char *name;
	unsigned long lowest, highest;
	size_t field;
} number_options[] = {
	{ OPT_SOCKET_UID, "socket-uid", 0, 0xfffffffe, offsetof(struct options, socket_uid) },
	{ OPT_SOCKET_GID, "socket-gid", 0, 0xfffffffe, offsetof(struct options, socket_gid) },
	{ OPT_EDGES, "edges", 16, EDGES_MAX, offsetof(struct options, edges) },
	{ OPT_SOCKETS, "sockets", 16, SOCKETS_MAX, offsetof(struct options, sockets) },
	{ OPT_RECORDS_RING, "records-ring", 4096, 1UL << 30, offsetof(struct options, records_ring) },
	{ OPT_USER, "user", 1, 0xfffffffe, offsetof(struct options, user) },
	{ OPT_EVERY, "every", 1, 86400, offsetof(struct options, every) },
};
_Static_assert(sizeof(uid_t) == sizeof(unsigned) && sizeof(gid_t) == sizeof(unsigned), "each field is an unsigned");

static int options__take_number(struct options *options, const struct number_option *of, const char *value)
{
	unsigned long number = 0;

	if (number__parse(of->name, value, of->lowest, of->highest, &number))
		return -1;
	*(unsigned *)((char *)options + of->field) = (unsigned)number;
	return 0;
}

static int options__take(struct options *options, int option, char *value)
{
	enum log_level level;

	for (size_t i = 0; i < sizeof(number_options) / sizeof(number_options[0]); i++) {
		if (number_options[i].option == option)
			return options__take_number(options, &number_options[i], value);
	}
	switch (option) {
	case OPT_SOCKET:
		options->socket_path = value;
		return 0;
	case OPT_STDIO:
		options->stdio = true;
		return 0;
	case OPT_SUPERVISE:
		options->supervise = true;
		return 0;
	case OPT_PINS:
		options->pins = value;
		return 0;
	case OPT_CGROUP:
		options->cgroup = value;
		return 0;
	case OPT_STAY_ROOT:
		options->stay_root = true;
		return 0;
	case OPT_UNPIN:
		options->mode = MODE_UNPIN;
		return 0;
	case OPT_IS_UNPINNED:
		options->mode = MODE_IS_UNPINNED;
		return 0;
	case OPT_IS_LISTENING:
		options->mode = MODE_IS_LISTENING;
		return 0;
	case OPT_CHECK:
		options->mode = MODE_CHECK;
		return 0;
	case OPT_LOG_LEVEL:
		if (!log_level__parse(value, &level)) {
			log_error("--log-level %s: must be debug, info, warn or error", value);
			return -1;
		}
		log__set_level(level);
		return 0;
	case 'h':
		fputs(help, stdout);
		options->mode = MODE_DONE;
		return 0;
	case 'V':
		printf("flowspan-probe %s, protocol %d\n", FLOWSPAN_VERSION, FLOWSPAN_PROTOCOL);
		options->mode = MODE_DONE;
		return 0;
	default:
		return -1;
	}
}

/* Sets `*found` where the variable has that value, and leaves it where there is none. */
static int variable__take(const char *name, const char *value, bool *found)
{
	const char *set = getenv(name);

	if (!set || !*set)
		return 0;
	if (strcmp(set, value) != 0) {
		log_error("%s=%s: must be %s, or not set", name, set, value);
		return -1;
	}
	*found = true;
	return 0;
}

/* Variables and no options: whatever starts a probe, down to an agent in a test, hands them on. */
static int options__take_environment(struct options *options)
{
	bool off = false;

	if (variable__take("FLOWSPAN_SOCKETS", "by-address", &options->sockets_by_address) ||
	    variable__take("FLOWSPAN_SECCOMP", "off", &off))
		return -1;
	options->confined = !off;
	return 0;
}

/* Checks what only makes sense together. */
static int options__check(const struct options *options)
{
	unsigned page = (unsigned)sysconf(_SC_PAGESIZE);

	if (options->every && options->mode != MODE_UNPIN) {
		log_error("--every %u: goes with --unpin", options->every);
		return -1;
	}
	if (options->mode != MODE_RUN && options->mode != MODE_IS_LISTENING)
		return 0;
	if (!options->socket_path == !options->stdio) {
		log_error("choose one of --socket PATH and --stdio; see --help");
		return -1;
	}
	if (options->socket_path && options->socket_path[0] != '/') {
		log_error("--socket %s: must be an absolute path, such as /run/flowspan/probe.sock",
			  options->socket_path);
		return -1;
	}
	if (options->mode == MODE_IS_LISTENING && options->stdio) {
		log_error("--is-listening needs --socket PATH");
		return -1;
	}
	if (options->stdio && options->supervise) {
		log_error("--supervise needs --socket PATH: a restarted probe cannot go on in the middle of --stdio");
		return -1;
	}
	if (options->socket_path &&
	    strlen(options->socket_path) + sizeof(".new") > sizeof(((struct sockaddr_un *)0)->sun_path)) {
		log_error("--socket %s: the path is too long for a Unix socket, choose a shorter one",
			  options->socket_path);
		return -1;
	}
	if (options->records_ring & (options->records_ring - 1) || options->records_ring < page) {
		log_error("--records-ring %u: must be a power of two of at least %u, as %u", options->records_ring,
			  page, RECORDS_RING_DEFAULT);
		return -1;
	}
	return 0;
}

/* What getopt_long() refused: an argument that it is done with, or one of letters of which it still has some to read. */
static int option__refuse(int option, int argc, char **argv)
{
	const char *argument = argv[optind - 1];

	for (int i = 1; i < argc && option == '?' && optopt && optopt < OPT_SOCKET; i++) {
		if (argv[i][0] == '-' && argv[i][1] != '-' && strchr(argv[i], optopt))
			argument = argv[i];
	}
	log_error("%s: %s; see --help", argument, option == '?' ? "no such option" : "needs a value");
	return -1;
}

int options__parse(struct options *options, int argc, char **argv)
{
	int option;

	*options = (struct options){
		.socket_uid = (uid_t)-1,
		.socket_gid = (gid_t)-1,
		.edges = EDGES_DEFAULT,
		.sockets = SOCKETS_ROOM,
		.records_ring = RECORDS_RING_DEFAULT,
		.user = USER_PROBE,
	};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":hV", long_options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return option__refuse(option, argc, argv);
		if (options__take(options, option, optarg))
			return -1;
		if (options->mode == MODE_DONE)
			return 0;
	}
	if (optind < argc) {
		log_error("%s: unexpected argument; see --help", argv[optind]);
		return -1;
	}
	if (options__take_environment(options))
		return -1;
	return options__check(options);
}
