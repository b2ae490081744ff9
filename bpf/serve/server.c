/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * One thread, one epoll. It waits for an agent that connects, its commands, connection records
 * from the ring buffer, signals, and once a second looks whether a newer probe has taken over. Whatever
 * goes wrong with the agent closes its connection only: what it did not settle stays in the kernel.
 */
#include "serve/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "wire/commands.h"
#include "contract/contract.h"
#include "exchange/exchange.h"
#include "shared/log.h"
#include "records/record_reader.h"
#include "serve/prefix_rules.h"
#include "shared/exit_code.h"

/* More than the agent's last exchange and its last spans may take: LAST_TURN_MS and SPANS_LAST_MS. */
#define LEAVE_S 12
#define INPUT_SIZE 16384
_Static_assert(INPUT_SIZE >= 2 * COMMAND_LENGTH_MAX, "a whole command must always fit");

enum source { SOURCE_LISTENER, SOURCE_AGENT, SOURCE_RECORDS, SOURCE_SIGNAL, SOURCE_TIMER, SOURCE_LIFELINE };

struct server {
	const struct programs *programs;
	struct pinned_maps *maps;
	uint64_t features;
	int epoll, listener, signals, timer;
	int agent; /* where commands come from, -1: nobody is connected */
	size_t input_used;
	uint8_t input[INPUT_SIZE];
	struct record_reader records;
	struct output output;
	struct settler settler;
	struct exchange exchange;
	__u64 leave_by_ns; /* told to end while an agent is connected: it has until then; 0: not told */
	int exit_code;
	bool ending;
};

static void server__end(struct server *server, int exit_code)
{
	server->ending = true;
	server->exit_code = exit_code;
}

static bool server__watch(struct server *server, int fd, enum source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	if (source == SOURCE_LIFELINE)
		event.events = 0;
	else if (source == SOURCE_RECORDS)
		event.events |= EPOLLET;

	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return true;
	log_error("cannot watch file descriptor %d: %s", fd, strerror(errno));
	return false;
}

/* True when a newer probe is the active one: then nothing may be written to the maps any more. */
static bool server__was_replaced(struct server *server)
{
	if (pinned_maps__is_active(server->maps, server->programs->generation))
		return false;
	if (!server->ending)
		log_info("a newer probe has taken over, or the pins were removed: ending");
	server__end(server, EXIT_ENDED);
	return true;
}

static void agent__close(struct server *server)
{
	record_reader__close(&server->records);
	epoll_ctl(server->epoll, EPOLL_CTL_DEL, record_reader__fd(&server->records), NULL);
	if (server->listener < 0 || server->leave_by_ns) {
		server__end(server, EXIT_ENDED);
	} else if (server->agent >= 0) {
		close(server->agent);
		log_info("the agent is gone");
	}
	server->agent = -1;
	output__open(&server->output, -1);
}

/* Writes what waits; a connection that broke on the way is closed. */
static void server__flush(struct server *server)
{
	if (server->agent >= 0 && !output__flush(&server->output))
		agent__close(server);
}

static void agent__send_hello(struct server *server)
{
	struct utsname system;
	struct frame_hello hello = {
		.magic = FLOWSPAN_MAGIC,
		.protocol = FLOWSPAN_PROTOCOL,
		.probe_pid = (__u32)getpid(),
		.features = server->features,
		.exchange = server->maps->state->exchange,
		.started_ns = server->maps->state->started_ns,
		.edge_capacity = server->maps->edge_capacity,
		.cpus = (__u32)sysconf(_SC_NPROCESSORS_ONLN),
	};

	clock__read_both(&hello.boot_ns, &hello.realtime_ns);
	uname(&system);
	snprintf(hello.kernel, sizeof(hello.kernel), "%.63s", system.release);
	output__frame(&server->output, FRAME_HELLO, &hello, sizeof(hello));
	server__flush(server);
}

/* Starts to serve whoever is at the other end of `in` and `out`. */
static void agent__open(struct server *server, int in, int out)
{
	fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	server->agent = in;
	server->input_used = 0;
	announced__clear(&server->exchange.announced);
	server->settler.settled = (struct frame_settled){ 0 };
	output__open(&server->output, out);
	record_reader__open(&server->records);
	if (!server__watch(server, in, SOURCE_AGENT) ||
	    !server__watch(server, record_reader__fd(&server->records), SOURCE_RECORDS)) {
		agent__close(server);
		return;
	}
	log_info("an agent is connected");
	agent__send_hello(server);
}

static void server__accept(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno != EAGAIN)
			log_warn("cannot accept an agent: %s", strerror(errno));
		return;
	}
	if (server->agent >= 0) {
		log_info("another agent came: it replaces the one that is connected");
		agent__close(server);
	}
	agent__open(server, fd, fd);
}

/* Between batches of an exchange. */
static void exchange__on_batch(void *context)
{
	struct server *server = context;

	record_reader__take(&server->records);
}

/* Looks for records when it is time to. */
static void server__poll_records(struct server *server)
{
	if (!record_reader__is_due(&server->records))
		return;
	record_reader__poll(&server->records);
	server__flush(server);
}

/* Handles one command. False closes the connection. */
static bool command__handle(struct server *server, const struct command *command)
{
	struct frame_settled settled;
	struct command_settings settings;
	struct command_records report;

	switch ((int)command->kind) {
	case COMMAND_EXCHANGE:
		return exchange__run(&server->exchange);
	case COMMAND_SETTLE:
		return settler__settle(&server->settler, command->payload);
	case COMMAND_FLUSH:
		return settler__flush(&server->settler, &settled) &&
		       output__frame(&server->output, FRAME_SETTLED, &settled, sizeof(settled));
	case COMMAND_SETTINGS:
		memcpy(&settings, command->payload, sizeof(settings));
		server->maps->settings->asked = settings;
		return true;
	case COMMAND_RECORDS:
		memcpy(&report, command->payload, sizeof(report));
		record_reader__report(&server->records, &report);
		return true;
	default:
		return prefix_rules__set(server->maps, command->payload);
	}
}

/* Takes all whole commands out of the input. False closes the connection. */
static bool input__handle(struct server *server)
{
	struct command command;
	size_t used = 0;
	const char *why;
	long length;

	while ((length = command__parse(&command, server->input + used, server->input_used - used, &why)) > 0) {
		if (server__was_replaced(server) || !command__handle(server, &command))
			return false;
		used += (size_t)length;
	}
	if (length < 0) {
		log_error("the agent sent what is no command: %s; its connection is closed", why);
		return false;
	}
	memmove(server->input, server->input + used, server->input_used - used);
	server->input_used -= used;
	return true;
}

static void agent__read(struct server *server)
{
	ssize_t length;

	if (server->agent < 0)
		return;
	length = read(server->agent, server->input + server->input_used, sizeof(server->input) - server->input_used);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length > 0) {
		server->input_used += (size_t)length;
		if (input__handle(server)) {
			server__flush(server);
			return;
		}
	} else if (length < 0) {
		log_warn("cannot read from the agent: %s", strerror(errno));
	}
	agent__close(server);
}

/* A pod's containers are told to end at once, and the agent's last exchange needs us: it may leave first. */
static void server__let_agent_leave(struct server *server)
{
	log_info("told to end: when the agent has left, in %d s at most; the kernel goes on counting", LEAVE_S);
	server->leave_by_ns = clock__boot_ns() + LEAVE_S * 1000000000ULL;
	server->output.listener_fd = -1;
	if (server->listener >= 0)
		epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listener, NULL);
}

static void server__take_signal(struct server *server)
{
	struct signalfd_siginfo signal;

	if (read(server->signals, &signal, sizeof(signal)) != sizeof(signal))
		return;
	if (signal.ssi_signo == SIGTERM && server->agent >= 0 && !server->leave_by_ns) {
		server__let_agent_leave(server);
		return;
	}
	log_info("%s: ending; the kernel goes on counting", strsignal((int)signal.ssi_signo));
	server__end(server, EXIT_ENDED);
}

/* Once a second. */
static void server__take_time(struct server *server)
{
	uint64_t ticks;

	if (read(server->timer, &ticks, sizeof(ticks)) != sizeof(ticks) || server__was_replaced(server))
		return;
	record_reader__take(&server->records);
	server__flush(server);
	if (server->leave_by_ns && clock__boot_ns() >= server->leave_by_ns) {
		log_warn("the agent has not left in %d s: ending", LEAVE_S);
		server__end(server, EXIT_ENDED);
	}
}

static void server__take(struct server *server, enum source source)
{
	switch (source) {
	case SOURCE_LISTENER:
		server__accept(server);
		break;
	case SOURCE_AGENT:
		agent__read(server);
		break;
	case SOURCE_RECORDS:
		/* It may have gone away in the same round of events. */
		if (server->agent >= 0)
			record_reader__wake(&server->records);
		break;
	case SOURCE_SIGNAL:
		server__take_signal(server);
		break;
	case SOURCE_TIMER:
		server__take_time(server);
		break;
	case SOURCE_LIFELINE:
		log_info("the supervisor is gone: ending");
		server__end(server, EXIT_ENDED);
	}
}

/* @return `buffer` with the time until the next poll for records; NULL: none is due */
static const struct timespec *server__timeout(const struct server *server, struct timespec *buffer)
{
	__u64 now = clock__boot_ns(), next = server->records.poller.next_ns;

	if (!next)
		return NULL;
	*buffer = (struct timespec){ .tv_nsec = next > now ? (long)(next - now) : 0 };
	return buffer;
}

int server__run(struct server *server)
{
	struct epoll_event events[8];
	struct timespec timeout;

	if (server->listener < 0)
		agent__open(server, STDIN_FILENO, STDOUT_FILENO);
	while (!server->ending) {
		int ready = epoll_pwait2(server->epoll, events, 8, server__timeout(server, &timeout), NULL);

		if (ready < 0 && errno != EINTR) {
			log_error("epoll_pwait2: %s", strerror(errno));
			server__end(server, EXIT_FAILED);
		}
		for (int i = 0; i < ready && !server->ending; i++)
			server__take(server, (enum source)events[i].data.u32);
		if (!server->ending)
			server__poll_records(server);
	}
	if (server->agent >= 0)
		agent__close(server);
	return server->exit_code;
}

static bool server__watch_all(struct server *server, int lifeline)
{
	struct itimerspec every_second = { { 1, 0 }, { 1, 0 } };

	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (server->epoll < 0 || server->timer < 0) {
		log_error("cannot make the event loop: %s", strerror(errno));
		return false;
	}
	timerfd_settime(server->timer, 0, &every_second, NULL);
	return server__watch(server, server->signals, SOURCE_SIGNAL) &&
	       server__watch(server, server->timer, SOURCE_TIMER) &&
	       (server->listener < 0 || server__watch(server, server->listener, SOURCE_LISTENER)) &&
	       (lifeline < 0 || server__watch(server, lifeline, SOURCE_LIFELINE));
}

struct server *server__open(const struct programs *programs, struct pinned_maps *maps, const struct features *features,
			    int listener, int lifeline, int signals)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server) {
		log_error("no memory");
		return NULL;
	}
	server->programs = programs;
	server->maps = maps;
	server->features = features__bits(features);
	server->listener = listener;
	server->signals = signals;
	server->agent = -1;
	output__open(&server->output, -1);
	server->output.listener_fd = listener;
	server->settler = (struct settler){ .programs = programs, .maps = maps };
	server->exchange.programs = programs;
	server->exchange.maps = maps;
	server->exchange.output = &server->output;
	server->exchange.settler = &server->settler;
	server->exchange.proc_snmp = features->proc_snmp;
	server->exchange.records = &server->records.taken;
	server->exchange.on_batch = exchange__on_batch;
	server->exchange.context = server;
	if (record_reader__make(&server->records, maps, &server->output) || exchange__open(&server->exchange) ||
	    !server__watch_all(server, lifeline))
		return NULL;
	return server;
}
