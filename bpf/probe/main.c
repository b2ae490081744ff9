/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * flowspan-probe: loads the kernel programs, and moves what they count to the agent and what the agent
 * has settled back.
 *
 *   options → detect features → load and attach (pins) → drop privileges → serve one agent
 *
 * All state that matters is in pinned maps: this process may be killed at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "probe/check.h"
#include "probe/confine.h"
#include "load/features.h"
#include "serve/listener.h"
#include "shared/log.h"
#include "shared/options.h"
#include "load/pins.h"
#include "probe/privileges.h"
#include "load/programs.h"
#include "load/refusal.h"
#include "load/upkeep.h"
#include "load/cgroup_filter.h"
#include "serve/server.h"
#include "shared/exit_code.h"
#include "probe/supervise.h"

/* SIGTERM and SIGINT as a file descriptor, so that they end the event loop and nothing else. */
static int signals__open(void)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int probe__run(const struct options *options, int lifeline)
{
	static struct programs programs;
	static struct pinned_maps maps;
	static struct pins pins;
	struct listener listener = { .fd = -1 };
	int signals = signals__open();
	struct features features;
	struct server *server;
	struct cgroup_filter filter;
	static struct upkeep upkeep;

	if (refusal__report())
		return EXIT_CANNOT_START;
	if (privileges__missing(options->stay_root)) {
		log_error("%s: %s", privileges__missing(options->stay_root), PRIVILEGES_REMEDY);
		return EXIT_CANNOT_START;
	}
	features__detect(&features, options->sockets_by_address);
	if (!features.cgroup_v2)
		log_warn("no cgroup v2 groups on this machine: sockets are told apart by net namespace and address "
			 "only");
	if (!features.proc_snmp)
		log_warn("the host's processes are not visible (hostPID): no coverage, and no connection that is older "
			 "than "
			 "this probe");
	if (cgroup_filter__find(&filter, options->cgroup) || pins__open(&pins, options->pins))
		return EXIT_CANNOT_START;
	if (options->socket_path && listener__open(&listener, options))
		return EXIT_CANNOT_START;
	if (programs__start(&programs, &maps, &features, &pins, options, &filter))
		return EXIT_CANNOT_START;
	if (options->socket_path && listener__publish(&listener, options))
		return EXIT_CANNOT_START;
	pins__unlock(&pins);
	if (upkeep__open(&upkeep, &programs, &maps, &pins, options->cgroup))
		return EXIT_CANNOT_START;
	server = server__open(&upkeep, &features, listener.fd, lifeline, signals);
	if (!server || privileges__drop(options->user, options->stay_root))
		return EXIT_CANNOT_START;
	malloc_trim(0); /* loading took some 20 MiB for BTF */
	if (options->confined && confine())
		return EXIT_CANNOT_START;
	return server__run(server);
}

/* Once, or again and again until it fails or somebody ends the process. */
static int unpin__run(const struct options *options)
{
	while (!pins__remove(options->pins)) {
		if (!options->every)
			return EXIT_ENDED;
		sleep(options->every);
	}
	return EXIT_CANNOT_START;
}

int main(int argc, char **argv)
{
	struct options options;
	int lifeline = -1;

	log__take_libbpf();
	if (options__parse(&options, argc, argv))
		return EXIT_USAGE;
	switch (options.mode) {
	case MODE_DONE:
		return EXIT_ENDED;
	case MODE_CHECK:
		return check__print(&options);
	case MODE_IS_LISTENING:
		return listener__ask(&options) ? EXIT_CANNOT_START : EXIT_ENDED;
	case MODE_UNPIN:
		return unpin__run(&options);
	case MODE_IS_UNPINNED:
		return pins__are_there(options.pins) ? EXIT_CANNOT_START : EXIT_ENDED;
	case MODE_RUN:
		break;
	}
	if (options.supervise)
		lifeline = supervise__run();
	return probe__run(&options, lifeline);
}
