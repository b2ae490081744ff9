/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 12345 ..." → addresses and ports.
 *
 * Addresses are words in the machine's order, each printed as one number; IPv4 becomes v4-mapped IPv6.
 */
#include "load/proc_tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V4_DIGITS 8
#define V6_DIGITS 32

/* Of the kernel's enum; a TIME_WAIT socket that stands for FIN_WAIT2 says so, but has no inode. */
enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8, LAST_ACK = 9, LISTENING = 10, CLOSING = 11 };

static bool state__lasts(unsigned state, unsigned long inode)
{
	return state == ESTABLISHED || state == FIN_WAIT1 || (state == FIN_WAIT2 && inode) || state == CLOSE_WAIT ||
	       state == LAST_ACK || state == LISTENING || state == CLOSING;
}

static bool address__parse(__u8 address[16], const char *text)
{
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t digits = strlen(text);
	size_t at = 16 - digits / 2;

	if (digits != V4_DIGITS && digits != V6_DIGITS)
		return false;
	memcpy(address, mapped, sizeof(mapped));
	for (; *text; text += V4_DIGITS, at += sizeof(__u32)) {
		char digits_of_word[V4_DIGITS + 1] = { 0 };
		__u32 word;

		memcpy(digits_of_word, text, V4_DIGITS);
		word = (__u32)strtoul(digits_of_word, NULL, 16);
		memcpy(address + at, &word, sizeof(word));
	}
	return true;
}

bool proc_tcp__parse(struct socket_place *place, const char *line)
{
	char local[V6_DIGITS + 1], remote[V6_DIGITS + 1];
	unsigned local_port, remote_port, state;
	unsigned long inode;

	if (sscanf(line, " %*u: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*s %*s %*s %*u %*u %lu", local, &local_port, remote,
		   &remote_port, &state, &inode) != 6)
		return false;
	if (!state__lasts(state, inode) || !address__parse(place->local, local) ||
	    !address__parse(place->remote, remote))
		return false;
	place->local_port = (__u16)local_port;
	place->remote_port = (__u16)remote_port;
	return true;
}
