/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections over loopback with both ends in a BPF sockmap, as socket-level accelerators have them:
 *
 *   sockmap PORT COUNT ROUNDS BYTES WAY
 *
 * Each end of each connection sends BYTES in ROUNDS, in turn. WAY is what happens then:
 *
 *   close   each connection is closed before the next one opens, by the client first
 *   reset   the client ends it with a RST
 *   stay    all stay open until standard input ends
 *   plain   as close, and in no map
 *
 * Prints `ready` once all rounds are played. Data of an end in the map goes to the other end's receive queue, around
 * TCP: the program is redirect() of skb-less messages (BPF_PROG_TYPE_SK_MSG), written as instructions.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLIENT 0
#define SERVER 1
#define CONNECTIONS_MAX 64

static char bytes[65536];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "sockmap: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int bpf(enum bpf_cmd command, union bpf_attr *attr, const char *what)
{
	int result = syscall(__NR_bpf, command, attr, sizeof(*attr));

	if (result < 0)
		fail(what);
	return result;
}

static int make_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 2 };

	return bpf(BPF_MAP_CREATE, &attr, "a sockmap");
}

/* return bpf_msg_redirect_map(msg, &map, msg->local_port == port ? CLIENT : SERVER, BPF_F_INGRESS); */
static int load_redirect(int map, int port)
{
	struct bpf_insn program[] = {
		{ BPF_LDX | BPF_MEM | BPF_W, 4, 1, offsetof(struct sk_msg_md, local_port), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, CLIENT },
		{ BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 1, port },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, SERVER },
		{ BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, map },
		{ 0, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, BPF_F_INGRESS },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_msg_redirect_map },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SK_MSG,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.insns = (__u64)(unsigned long)program,
		.license = (__u64)(unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr, "the program");
}

static int accelerate(int port)
{
	int map = make_map();
	union bpf_attr attr = {
		.target_fd = map,
		.attach_bpf_fd = load_redirect(map, port),
		.attach_type = BPF_SK_MSG_VERDICT,
	};

	bpf(BPF_PROG_ATTACH, &attr, "attaching the program");
	return map;
}

static void put(int map, __u32 key, __u32 fd)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (__u64)(unsigned long)&key,
		.value = (__u64)(unsigned long)&fd,
	};

	bpf(BPF_MAP_UPDATE_ELEM, &attr, "putting a socket into the map");
}

static void move(int from, int to, size_t length)
{
	if (send(from, bytes, length, 0) != (ssize_t)length)
		fail("send");
	if (recv(to, bytes, length, MSG_WAITALL) != (ssize_t)length)
		fail("recv");
}

static void end(int client, int server, const char *way)
{
	struct linger now = { .l_onoff = 1 };

	if (!strcmp(way, "stay"))
		return;
	if (!strcmp(way, "reset") && setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)))
		fail("SO_LINGER");
	close(client);
	close(server);
}

int main(int argc, char **argv)
{
	int port = argc == 6 ? atoi(argv[1]) : 0, count = argc == 6 ? atoi(argv[2]) : 0, on = 1;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), map;

	if (argc != 6 || count > CONNECTIONS_MAX || (size_t)atoi(argv[4]) > sizeof(bytes)) {
		fprintf(stderr, "sockmap: see the opening comment of sockmap.c\n");
		return 2;
	}
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, CONNECTIONS_MAX))
		fail("listen");
	map = accelerate(port);
	for (int i = 0; i < count; i++) {
		int client = socket(AF_INET, SOCK_STREAM, 0), server;

		if (client < 0 || connect(client, (struct sockaddr *)&at, sizeof(at)))
			fail("connect");
		server = accept(listener, NULL, NULL);
		if (server < 0)
			fail("accept");
		if (strcmp(argv[5], "plain")) {
			put(map, CLIENT, client);
			put(map, SERVER, server);
		}
		for (int round = 0; round < atoi(argv[3]); round++) {
			move(client, server, atoi(argv[4]));
			move(server, client, atoi(argv[4]));
		}
		end(client, server, argv[5]);
	}
	printf("ready\n");
	fflush(stdout);
	while (!strcmp(argv[5], "stay") && read(STDIN_FILENO, bytes, 1) > 0)
		;
	return 0;
}
