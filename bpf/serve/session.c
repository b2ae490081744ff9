/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Bytes of one agent → commands → what they ask for, into the output. It knows no event loop and no other agent. */
#include "serve/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "contract/contract.h"
#include "exchange/evidence_rows.h"
#include "serve/prefix_rules.h"
#include "shared/log.h"

/* Between batches of an exchange. */
static void exchange__on_batch(void *context)
{
	struct session *session = context;

	record_reader__take(&session->records);
}

int session__make(struct session *session, const struct programs *programs, struct pinned_maps *maps,
		  const struct features *features, int listener_fd)
{
	session->programs = programs;
	session->maps = maps;
	session->features = features__bits(features);
	session->in = -1;
	output__open(&session->output, -1);
	session->output.listener_fd = listener_fd;
	session->settler = (struct settler){ .programs = programs, .maps = maps };
	session->exchange.programs = programs;
	session->exchange.maps = maps;
	session->exchange.output = &session->output;
	session->exchange.settler = &session->settler;
	session->exchange.proc_snmp = features->proc_snmp;
	own_memory__open(&session->exchange.memory);
	session->exchange.records = &session->records.taken;
	session->exchange.on_batch = exchange__on_batch;
	session->exchange.context = session;
	if (record_reader__make(&session->records, maps, &session->output) || exchange__open(&session->exchange))
		return -1;
	return 0;
}

void session__open(struct session *session, int in, int out)
{
	fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	session->in = in;
	session->input.used = 0;
	cgroup_set__clear(&session->exchange.announced);
	session->settler.settled = (struct frame_settled){ 0 };
	output__open(&session->output, out);
	record_reader__open(&session->records);
}

void session__close(struct session *session)
{
	record_reader__close(&session->records);
	settler__forget(&session->settler);
	session->in = -1;
	output__open(&session->output, -1);
}

void session__send_hello(struct session *session)
{
	struct utsname system;
	struct frame_hello hello = {
		.magic = FLOWSPAN_MAGIC,
		.protocol = FLOWSPAN_PROTOCOL,
		.probe_pid = (__u32)getpid(),
		.features = session->features |
			    (session->maps->settings->filter_cgroup ? 0 : 1ULL << FEATURE_WHOLE_MACHINE),
		.exchange = session->maps->state->exchange,
		.started_ns = session->maps->state->started_ns,
		.edge_capacity = session->maps->edge_capacity,
		.cpus = (__u32)sysconf(_SC_NPROCESSORS_ONLN),
	};

	clock__read_both(&hello.boot_ns, &hello.realtime_ns);
	uname(&system);
	snprintf(hello.kernel, sizeof(hello.kernel), "%.63s", system.release);
	output__frame(&session->output, FRAME_HELLO, &hello, sizeof(hello));
}

void session__send_troubles(struct session *session, uint64_t troubles)
{
	struct frame_trouble frame = { .troubles = troubles };

	output__frame(&session->output, FRAME_TROUBLE, &frame, sizeof(frame));
}

/*
 * One exchange for each read: an agent asks for the next when it has the last one. Who asks for a thousand at once would keep
 * the probe from all else for as many walks.
 */
static bool session__exchange(struct session *session)
{
	if (session->has_exchanged) {
		log_error("the agent asks for an exchange before it has the last one; its connection is closed");
		return false;
	}
	session->has_exchanged = true;
	return exchange__run(&session->exchange);
}

/* Handles one command. False closes the connection. */
static bool command__handle(void *context, const struct command *command)
{
	struct session *session = context;
	struct frame_settled settled;
	struct command_settings settings;
	struct command_records report;
	struct frame_evidence evidence;

	if (!pinned_maps__is_active(session->maps, session->programs->generation))
		return false;
	switch ((int)command->kind) {
	case COMMAND_EXCHANGE:
		return session__exchange(session);
	case COMMAND_SETTLE:
		return settler__settle(&session->settler, command->payload, command->length);
	case COMMAND_SETTLE_EVIDENCE:
		memcpy(&evidence, command->payload, sizeof(evidence));
		if (evidence__settle(session->maps, &evidence))
			session->settler.settled.rows++;
		else
			session->settler.settled.unknown++;
		return true;
	case COMMAND_FLUSH:
		return settler__flush(&session->settler, &settled) &&
		       output__frame(&session->output, FRAME_SETTLED, &settled, sizeof(settled));
	case COMMAND_SETTINGS:
		memcpy(&settings, command->payload, sizeof(settings));
		session->maps->settings->asked = settings;
		return true;
	case COMMAND_RECORDS:
		memcpy(&report, command->payload, sizeof(report));
		record_reader__report(&session->records, &report);
		return true;
	default:
		return prefix_rules__set(session->maps, command->payload);
	}
}

bool session__read(struct session *session)
{
	struct input *input = &session->input;
	ssize_t length = read(session->in, input->bytes + input->used, sizeof(input->bytes) - input->used);
	const char *why;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (length < 0)
		log_warn("cannot read from the agent: %s", strerror(errno));
	if (length <= 0)
		return false;
	input->used += (size_t)length;
	session->has_exchanged = false;
	if (input__take(input, command__handle, session, &why))
		return true;
	if (why)
		log_error("the agent sent what is no command: %s; its connection is closed", why);
	return false;
}
