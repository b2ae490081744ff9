/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Writes frames: header and payload into one buffer, the buffer into the socket when it is full or when
 * the caller says that something must leave now. It knows no frame's content.
 */
#include "wire/output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/log.h"

_Static_assert(OUTPUT_SIZE >= sizeof(struct frame_header) + sizeof(struct frame_edge) +
				      SLOT_COUNT * sizeof(struct slot_growth),
	       "the longest frame must fit");

void output__open(struct output *output, int fd)
{
	output->fd = fd;
	output->broken = fd < 0;
	output->used = 0;
	output__be_patient(output);
}

void output__be_patient(struct output *output)
{
	output->patience_ms = OUTPUT_STALL_MS;
}

static bool output__break(struct output *output, const char *why)
{
	log_warn("the agent's connection is given up: %s; nothing is lost, it can connect again", why);
	output->broken = true;
	output->used = 0;
	return false;
}

static int clock__ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* Waits until the agent takes bytes again. */
static bool output__wait(struct output *output)
{
	struct pollfd fds[2] = { { .fd = output->fd, .events = POLLOUT },
				 { .fd = output->listener_fd, .events = POLLIN } };
	int begin = clock__ms(), ready = poll(fds, 2, output->patience_ms);

	output->patience_ms -= clock__ms() - begin;
	if (ready < 0)
		return errno == EINTR ? true : output__break(output, strerror(errno));
	if (ready == 0 || output->patience_ms <= 0)
		return output__break(output, "it has kept the probe waiting for 30 s");
	if (fds[0].revents)
		return true;
	return output__break(output, "another agent wants to connect");
}

bool output__flush(struct output *output)
{
	size_t done = 0;

	while (!output->broken && done < output->used) {
		ssize_t written = write(output->fd, output->bytes + done, output->used - done);

		if (written >= 0)
			done += (size_t)written;
		else if (errno == EAGAIN)
			output__wait(output);
		else if (errno != EINTR)
			output__break(output, strerror(errno));
	}
	if (output->used > OUTPUT_SIZE / 2 && output->patience_ms < OUTPUT_STALL_MS)
		output->patience_ms += OUTPUT_EARNED_MS;
	output->used = 0;
	return !output->broken;
}

bool output__make_room(struct output *output, size_t length)
{
	if (output->used + sizeof(struct frame_header) + length > sizeof(output->bytes))
		output__flush(output);
	return !output->broken;
}

bool output__frame(struct output *output, enum frame_kind kind, const void *payload, size_t length)
{
	struct frame_header header = { .length = (uint32_t)length, .kind = (uint16_t)kind };

	if (!output__make_room(output, length))
		return false;
	memcpy(output->bytes + output->used, &header, sizeof(header));
	memcpy(output->bytes + output->used + sizeof(header), payload, length);
	output->used += sizeof(header) + length;
	return true;
}
