/**
 * SipHash-2-4 with 128 bits of output of one 8-byte message, from the paper's description: what a trace id must be,
 * said a second time and in another language than the kernel's.
 */

const WORD = (1n << 64n) - 1n;

/** @returns 32 hex digits, in the order in which the authors' reference writes bytes */
export function sipHash(key: Buffer, message: bigint): string {
  const k0 = key.readBigUInt64LE(0);
  const k1 = key.readBigUInt64LE(8);
  const v: [bigint, bigint, bigint, bigint] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn ^ 0xeen,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ];
  // The message, then the last block, which holds its length alone.
  for (const block of [message, 8n << 56n]) {
    v[3] ^= block;
    rounds(v, 2);
    v[0] ^= block;
  }
  v[2] ^= 0xeen;
  rounds(v, 4);
  const first = v[0] ^ v[1] ^ v[2] ^ v[3];
  v[1] ^= 0xddn;
  rounds(v, 4);
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(first, 0);
  out.writeBigUInt64LE(v[0] ^ v[1] ^ v[2] ^ v[3], 8);
  return out.toString("hex");
}

function rounds(v: [bigint, bigint, bigint, bigint], count: number): void {
  for (let i = 0; i < count; i++) {
    half(v, 0, 13, 16);
    half(v, 2, 17, 21);
  }
}

/** Half a round: words `a` and 1 are mixed, and 3 with the other even one. */
function half(v: [bigint, bigint, bigint, bigint], a: 0 | 2, left: number, right: number): void {
  const c = a === 0 ? 2 : 0;
  v[a] = (v[a] + v[1]) & WORD;
  v[1] = rotated(v[1], left) ^ v[a];
  v[a] = rotated(v[a], 32);
  v[c] = (v[c] + v[3]) & WORD;
  v[3] = rotated(v[3], right) ^ v[c];
}

function rotated(word: bigint, bits: number): bigint {
  return ((word << BigInt(bits)) | (word >> BigInt(64 - bits))) & WORD;
}
