/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Lines of /proc/net/tcp and tcp6 as the kernel prints them on a little-endian machine. */
#include "load/proc_tcp.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define REST " 00000000:00000000 00:00000000 00000000     0        0 "

static void addresses_come_in_network_order_ipv4_mapped(void)
{
	static const __u8 loopback[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
	static const __u8 any[16] = { [10] = 0xff, [11] = 0xff };
	static const __u8 v6[16] = { 0xfd, 0x00, 0x00, 0x10, 0x02, 0x44, [15] = 0x23 };
	struct socket_place place = { .netns = 23 };

	assert(proc_tcp__parse(&place,
			       "   0: 0100007F:1F90 00000000:0000 0A" REST "12345 1 0000000000000000 100 0 0 10 0"));
	assert(memcmp(place.local, loopback, 16) == 0 && memcmp(place.remote, any, 16) == 0);
	assert(place.local_port == 8080 && place.remote_port == 0 && place.netns == 23);

	assert(proc_tcp__parse(&place, " 123: 100000FD000044020000000023000000:0050 "
				       "0000000000000000FFFF00000100007F:9C40 01" REST "6 1 0"));
	assert(memcmp(place.local, v6, 16) == 0 && memcmp(place.remote, loopback, 16) == 0);
	assert(place.local_port == 80 && place.remote_port == 40000);
}

static void only_sockets_that_last_count(void)
{
	static const struct {
		const char *line;
		bool lasts;
	} cases[] = {
		{ "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		  false },
		{ "", false },
		{ "   1: 0100007F:1F90 0100007F:9C40 01" REST "0 1 0", true },  /* not accepted yet */
		{ "   1: 0100007F:1F90 0100007F:9C40 02" REST "7 1 0", false }, /* SYN_SENT */
		{ "   1: 0100007F:1F90 0100007F:9C40 03" REST "0 1 0", false }, /* SYN_RECV: a request */
		{ "   1: 0100007F:1F90 0100007F:9C40 04" REST "0 1 0", true },  /* closed, still sending */
		{ "   1: 0100007F:1F90 0100007F:9C40 05" REST "0 3 0", false }, /* FIN_WAIT2 as TIME_WAIT */
		{ "   1: 0100007F:1F90 0100007F:9C40 05" REST "9 1 0", true },
		{ "   1: 0100007F:1F90 0100007F:9C40 06" REST "0 3 0", false }, /* TIME_WAIT */
		{ "   1: 0100007F:1F90 0100007F:9C40 07" REST "9 1 0", false }, /* CLOSE */
		{ "   1: 0100007F:1F90 0100007F:9C40 0B" REST "0 1 0", true },
		{ "   1: 7F:1F90 0100007F:9C40 01" REST "0 1 0", false }, /* no address */
	};
	struct socket_place place;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert(proc_tcp__parse(&place, cases[i].line) == cases[i].lasts);
}

int main(void)
{
	addresses_come_in_network_order_ipv4_mapped();
	only_sockets_that_last_count();
	puts("proc_tcp_test: ok");
	return 0;
}
