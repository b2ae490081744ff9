/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012) of one 8-byte message: the trace id
 * of a connection is that of its two initial sequence numbers. Keyed, so that nobody who sees trace ids
 * learns sequence numbers. Pure; siphash_test.c holds it against the authors' vector.
 */
#ifndef COMMON_SIPHASH_H
#define COMMON_SIPHASH_H

#include "contract/types.h"

struct siphash {
	__u64 v0, v1, v2, v3;
};

#define siphash__rotate(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

static inline __attribute__((always_inline)) void siphash__rounds(struct siphash *h, int rounds)
{
	int i;

	for (i = 0; i < rounds; i++) {
		h->v0 += h->v1;
		h->v1 = siphash__rotate(h->v1, 13) ^ h->v0;
		h->v0 = siphash__rotate(h->v0, 32);
		h->v2 += h->v3;
		h->v3 = siphash__rotate(h->v3, 16) ^ h->v2;
		h->v0 += h->v3;
		h->v3 = siphash__rotate(h->v3, 21) ^ h->v0;
		h->v2 += h->v1;
		h->v1 = siphash__rotate(h->v1, 17) ^ h->v2;
		h->v2 = siphash__rotate(h->v2, 32);
	}
}

static inline __attribute__((always_inline)) void siphash__block(struct siphash *h, __u64 block)
{
	h->v3 ^= block;
	siphash__rounds(h, 2);
	h->v0 ^= block;
}

/* @param out two words, little-endian as the authors' reference writes them */
static inline __attribute__((always_inline)) void siphash__of_word(const __u64 key[2], __u64 message, __u64 out[2])
{
	struct siphash h = {
		.v0 = key[0] ^ 0x736f6d6570736575ULL,
		.v1 = key[1] ^ 0x646f72616e646f6dULL ^ 0xee,
		.v2 = key[0] ^ 0x6c7967656e657261ULL,
		.v3 = key[1] ^ 0x7465646279746573ULL,
	};

	siphash__block(&h, message);
	siphash__block(&h, 8ULL << 56); /* the last block is the length alone */
	h.v2 ^= 0xee;
	siphash__rounds(&h, 4);
	out[0] = h.v0 ^ h.v1 ^ h.v2 ^ h.v3;
	h.v1 ^= 0xdd;
	siphash__rounds(&h, 4);
	out[1] = h.v0 ^ h.v1 ^ h.v2 ^ h.v3;
}

#endif
