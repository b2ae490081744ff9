/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Threads that enter and leave fewer places than there are tenants: nobody holds another's place, and all are free at the end. */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

static __thread unsigned long turns;

/* Lets another thread run in about one of eight places, so that a machine with one core interrupts each step, too. */
static void interrupt(void)
{
	turns = turns * 6364136223846793005UL + 1442695040888963407UL;
	if (!(turns >> 61))
		sched_yield();
}

#define __sync_fetch_and_add(at, amount) (interrupt(), __sync_fetch_and_add(at, amount))
#define __sync_val_compare_and_swap(at, old, new) (interrupt(), __sync_val_compare_and_swap(at, old, new))
#include "common/tenant_counts.h"

#define PLACES 2
#define TENANTS 3
#define THREADS 4
#define ROUNDS 50000
#define ROUNDS_EACH 8 /* then its tenants never come back: a place that one of them left behind stays taken */

static struct tenant places[PLACES];

/* As tenant__enter() does it. @return the place, or NULL */
static struct tenant *enter(__u64 id)
{
	for (int i = 0; i < PLACES; i++)
		if (*(volatile __u64 *)&places[i].id == id && tenant__add(&places[i], id, false))
			return &places[i];
	for (int i = 0; i < PLACES; i++)
		if (tenant__add(&places[i], id, true))
			return &places[i];
	return NULL;
}

static void *come_and_go(void *seed)
{
	unsigned long entered = 0;

	turns = (unsigned long)seed;
	for (unsigned long round = 0; round < ROUNDS; round++) {
		__u64 id = 1 + round / ROUNDS_EACH * TENANTS + (round + (unsigned long)seed) % TENANTS;
		struct tenant *place = enter(id);

		if (!place)
			continue;
		assert(*(volatile __u64 *)&place->id == id);
		tenant__drop(place);
		entered++;
	}
	assert(entered > ROUNDS / 4);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (unsigned long i = 0; i < THREADS; i++)
		assert(pthread_create(&threads[i], NULL, come_and_go, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < PLACES; i++) {
		assert(places[i].id == 0);
		assert(places[i].edges == 0);
	}
	puts("tenant_counts_test: ok");
	return 0;
}
