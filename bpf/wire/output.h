/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Frames on their way to the agent. */
#ifndef WIRE_OUTPUT_H
#define WIRE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/frames.h"

#define OUTPUT_SIZE (64 * 1024)
#define OUTPUT_STALL_MS 30000
/* A buffer that was taken earns so much: who takes less than 640 KiB/s is waited for OUTPUT_STALL_MS in all. */
#define OUTPUT_EARNED_MS 100

/*
 * A bounded buffer in front of a file descriptor. When it is full, writing waits for the agent, and gives up when another agent
 * wants to connect, or when it has waited for OUTPUT_STALL_MS. The probe does nothing else meanwhile: so who takes one
 * buffer after the other, each just in time, has no more. A broken output takes frames and drops them: what it carried is
 * said again in the next exchange.
 */
struct output {
	int fd;          /* -1: nobody is connected */
	int listener_fd; /* readable: another agent wants to be served; -1: nobody else can */
	int patience_ms; /* how long it will wait yet */
	bool broken;
	size_t used;
	uint8_t bytes[OUTPUT_SIZE];
};

/* Starts over with another file descriptor, which must not block. */
void output__open(struct output *output, int fd);

/* The probe has seen to all else: it has time again. */
void output__be_patient(struct output *output);

/* Writes what waits if a frame with that much payload would not fit beside it. False when the output is broken. */
bool output__make_room(struct output *output, size_t length);

/* Adds one frame. False when the output is broken, now or before. */
bool output__frame(struct output *output, enum frame_kind kind, const void *payload, size_t length);

/* Writes all that waits. False when the output is broken. */
bool output__flush(struct output *output);

#endif
