/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* However agents, probes and connections end, every record is settled by an agent, with the agent, or lost once. */
#include "records/ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/commands.h"

#define ROUNDS 2000
#define STEPS 200

struct agent {
	struct command_records is; /* as it stands */
	__u64 said;                /* settled, as it said last */
};

/* Agent, probe and what is between them; `sent`, `settled` and `lost` are over all agents. */
struct world {
	struct record_ledger pinned;
	struct ledger ledger;
	struct agent agent;
	__u64 on_the_way;
	__u64 sent, settled, lost;
};

static void say(struct world *world)
{
	world->lost += ledger__report(&world->ledger, &world->agent.is);
	world->agent.said = world->agent.is.settled;
}

/* A connection begins, by this probe or by another one that found the same maps. What was on the way is gone. */
static void connect(struct world *world)
{
	world->on_the_way = 0;
	ledger__open(&world->ledger, &world->pinned);
	/* The first records may leave before the agent's first word comes. */
	for (int i = rand() % 3; i > 0; i--) {
		ledger__send(&world->ledger);
		world->on_the_way++;
		world->sent++;
	}
	say(world);
}

static void replace_agent(struct world *world)
{
	world->settled += world->agent.said;
	world->agent = (struct agent){ .is.agent = world->agent.is.agent + 1 };
	connect(world);
}

static void step(struct world *world)
{
	struct agent *agent = &world->agent;

	switch (rand() % 16) {
	case 0:
		replace_agent(world);
		break;
	case 1:
		connect(world);
		break;
	case 2 ... 4:
		say(world);
		break;
	case 5 ... 8:
		agent->is.received += world->on_the_way > 0;
		world->on_the_way -= world->on_the_way > 0;
		break;
	case 9 ... 11:
		agent->is.settled += agent->is.settled < agent->is.received;
		break;
	default:
		ledger__send(&world->ledger);
		world->on_the_way++;
		world->sent++;
	}
}

static void every_record_is_settled_with_the_agent_or_lost(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct world world = { .agent.is.agent = 1 };

		connect(&world);
		for (int i = 0; i < STEPS; i++) {
			step(&world);
			assert(world.sent == world.settled + world.agent.is.received + world.on_the_way + world.lost);
		}
	}
}

static void new_maps_under_an_agent_that_lives_on_lose_nothing(void)
{
	struct record_ledger pinned = { 0 };
	struct ledger ledger;

	ledger__open(&ledger, &pinned);
	assert(ledger__report(&ledger, &(struct command_records){ .agent = 7, .received = 23, .settled = 5 }) == 0);
	ledger__send(&ledger);
	assert(pinned.sent == 24 && pinned.settled == 23);
}

static __u64 least(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* A number as an attacker chooses it: small, near what was sent, or absurd. */
static __u64 any_number(__u64 sent)
{
	__u64 choices[] = { 0, 1, sent, sent + 1, (__u64)rand() % (sent + 1), RECORDS_MAX };

	return choices[rand() % 6];
}

static void whatever_agents_say_no_more_is_lost_than_was_sent(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct record_ledger pinned = { 0 };
		struct ledger ledger = { .pinned = &pinned };
		__u64 sent = 0, lost = 0;

		ledger__open(&ledger, &pinned);
		for (int i = 0; i < STEPS; i++) {
			struct command_records report = { .agent = 1 + rand() % 3, .received = any_number(sent) };

			report.settled = least(any_number(sent), report.received);
			if (rand() % 3 == 0)
				ledger__open(&ledger, &pinned);
			else if (rand() % 2)
				lost += ledger__report(&ledger, &report);
			else
				ledger__send(&ledger), sent++;
			assert(lost <= sent);
		}
	}
}

int main(void)
{
	srand(23);
	every_record_is_settled_with_the_agent_or_lost();
	new_maps_under_an_agent_that_lives_on_lose_nothing();
	whatever_agents_say_no_more_is_lost_than_was_sent();
	puts("ledger_test: ok");
	return 0;
}
