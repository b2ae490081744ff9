/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * One thread, one epoll. It waits for an agent that connects, its commands, connection records
 * from the ring buffer, signals, and once a second looks whether all that it stands on is there and whether a newer
 * probe has taken over. Whatever
 * goes wrong with the agent closes its connection only: what it did not settle stays in the kernel.
 */
#include "serve/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "serve/session.h"
#include "shared/exit_code.h"
#include "shared/log.h"

/* More than the agent's last exchange and its last spans may take: LAST_TURN_MS and SPANS_LAST_MS. */
#define LEAVE_S 12

enum source { SOURCE_LISTENER, SOURCE_AGENT, SOURCE_RECORDS, SOURCE_SIGNAL, SOURCE_TIMER, SOURCE_LIFELINE };

struct server {
	struct upkeep *upkeep;
	int epoll, listener, signals, timer;
	struct session session;
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
	if (!upkeep__is_replaced(server->upkeep))
		return false;
	if (!server->ending)
		log_info("a newer probe has taken over, or the pins were removed: ending");
	server__end(server, EXIT_ENDED);
	return true;
}

static void agent__close(struct server *server)
{
	epoll_ctl(server->epoll, EPOLL_CTL_DEL, record_reader__fd(&server->session.records), NULL);
	if (server->listener < 0 || server->leave_by_ns) {
		server__end(server, EXIT_ENDED);
	} else if (server->session.in >= 0) {
		close(server->session.in);
		log_info("the agent is gone");
	}
	session__close(&server->session);
}

/* Writes what waits; a connection that broke on the way is closed. */
static void server__flush(struct server *server)
{
	if (server->session.in >= 0 && !output__flush(&server->session.output))
		agent__close(server);
}

/* Starts to serve whoever is at the other end of `in` and `out`. */
static void agent__open(struct server *server, int in, int out)
{
	session__open(&server->session, in, out);
	if (!server__watch(server, in, SOURCE_AGENT) ||
	    !server__watch(server, record_reader__fd(&server->session.records), SOURCE_RECORDS)) {
		agent__close(server);
		return;
	}
	log_info("an agent is connected");
	session__send_hello(&server->session);
	if (server->upkeep->troubles)
		session__send_troubles(&server->session, server->upkeep->troubles);
	server__flush(server);
}

static void server__accept(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno != EAGAIN)
			log_warn("cannot accept an agent: %s", strerror(errno));
		return;
	}
	if (server->session.in >= 0) {
		log_info("another agent came: it replaces the one that is connected");
		agent__close(server);
	}
	agent__open(server, fd, fd);
}

/* Looks for records when it is time to. */
static void server__poll_records(struct server *server)
{
	if (!record_reader__is_due(&server->session.records))
		return;
	record_reader__poll(&server->session.records);
	server__flush(server);
}

static void agent__read(struct server *server)
{
	if (server->session.in < 0)
		return;
	if (session__read(&server->session)) {
		server__flush(server);
		return;
	}
	server__was_replaced(server);
	agent__close(server);
}

/* Where both are told to end at once, as by a deletion, the agent's last exchange needs us: it may leave first. */
static void server__let_agent_leave(struct server *server)
{
	log_info("told to end: when the agent has left, in %d s at most; the kernel goes on counting", LEAVE_S);
	server->leave_by_ns = clock__boot_ns() + LEAVE_S * 1000000000ULL;
	server->session.output.listener_fd = -1;
	if (server->listener >= 0)
		epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listener, NULL);
}

static void server__take_signal(struct server *server)
{
	struct signalfd_siginfo signal;

	if (read(server->signals, &signal, sizeof(signal)) != sizeof(signal))
		return;
	if (signal.ssi_signo == SIGTERM && server->session.in >= 0 && !server->leave_by_ns) {
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
	log__tell_left_out();
	if (upkeep__check(server->upkeep) && server->session.in >= 0)
		session__send_troubles(&server->session, server->upkeep->troubles);
	record_reader__take(&server->session.records);
	server__flush(server);
	if (server->upkeep->starts_anew)
		server__end(server, EXIT_FAILED);
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
		if (server->session.in >= 0)
			record_reader__wake(&server->session.records);
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
	__u64 now = clock__boot_ns(), next = server->session.records.poller.next_ns;

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

		output__be_patient(&server->session.output);
		if (ready < 0 && errno != EINTR) {
			log_error("epoll_pwait2: %s", strerror(errno));
			server__end(server, EXIT_FAILED);
		}
		for (int i = 0; i < ready && !server->ending; i++)
			server__take(server, (enum source)events[i].data.u32);
		if (!server->ending)
			server__poll_records(server);
	}
	if (server->session.in >= 0)
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

struct server *server__open(struct upkeep *upkeep, const struct features *features, int listener, int lifeline,
			    int signals)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server) {
		log_error("no memory");
		return NULL;
	}
	server->upkeep = upkeep;
	server->listener = listener;
	server->signals = signals;
	if (session__make(&server->session, upkeep->programs, upkeep->maps, features, listener) ||
	    !server__watch_all(server, lifeline))
		return NULL;
	return server;
}
