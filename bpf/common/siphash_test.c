/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Our SipHash against the authors' vector: key 00 01 … 0f, message 00 01 … 07, 128 bits out. */
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "common/siphash.h"

int main(void)
{
	static const unsigned char expected[16] = { 0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61,
						    0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97, 0xb4 };
	static const __u64 key[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };
	__u64 out[2];

	siphash__of_word(key, 0x0706050403020100ULL, out);
	if (memcmp(out, expected, sizeof(expected)) != 0) {
		fprintf(stderr, "SipHash of the authors' message: %016llx %016llx is not theirs\n", out[0], out[1]);
		return 1;
	}
	puts("SipHash is as its authors wrote it");
	return 0;
}
