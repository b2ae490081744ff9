/**
 * Decoders of the agent under bytes that nobody meant: each ends, in a value that can be read or in its own kind of refusal,
 * and nothing of a secret is in the refusal. Others of them have such tests in their own folders; `npm run hostile` has recordings.
 *
 *     FLOWSPAN_SEED=S repeats a run, FLOWSPAN_RUNS=N makes it longer
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../../agent/generated/layout.ts";
import { readCredential } from "../../../agent/kubernetes/exec-plugin.ts";
import { ApiFailure } from "../../../agent/kubernetes/failure.ts";
import { retryDelayMs } from "../../../agent/otlp/status.ts";
import { EntryKind, readEntries } from "../../../agent/recording/container.ts";
import { FRAMES } from "../../../agent/source/decode.ts";
import { DECODE_FAILURES } from "../../../agent/source/frame-decoder.ts";
import { type Frame, FrameSplitter } from "../../../agent/source/frames.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import { certificateProblem, keyProblem } from "../../../agent/tls/pem.ts";
import { makeCertificates } from "../tls/certificates.ts";

const seed = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 2 ** 31);
const numRuns = Number(process.env.FLOWSPAN_RUNS ?? 1_000);
const SETTINGS = { seed, numRuns, interruptAfterTimeLimit: 4_000, markInterruptAsFailure: false };

beforeAll(() =>
  console.log(`${numRuns} inputs for each decoder with seed ${seed}: FLOWSPAN_SEED=${seed} repeats them`),
);

const HUGE = [0, 1, 0x7f, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
const fraction = fc.integer({ min: 0, max: 999_999 }).map((millionths) => millionths / 1e6);
const change = fc.oneof(
  fc.record({ at: fraction, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ at: fraction, word: fc.constantFrom(...HUGE) }),
  fc.record({ at: fraction, cut: fc.constant(true) }),
  fc.record({ at: fraction, more: fc.uint8Array({ minLength: 1, maxLength: 600 }) }),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;
const changes = fc.array(change, { minLength: 1, maxLength: 4 });

function changed(bytes: Uint8Array, list: readonly Change[]): Buffer {
  return list.reduce<Buffer>((now, each) => {
    const at = Math.floor(each.at * now.length);
    const next = Buffer.from(now);
    if ("cut" in each) return next.subarray(0, at);
    if ("more" in each) return Buffer.concat([next.subarray(0, at), each.more, next.subarray(at)]);
    if ("word" in each && at + 4 <= next.length) next.writeUInt32LE(each.word, at);
    if ("bit" in each && at < next.length) next[at] = (next[at] as number) ^ (1 << each.bit);
    return next;
  }, Buffer.from(bytes));
}

/** A frame of each kind that the real probe has sent in the golden recording. */
async function recordedFrames(): Promise<Frame[]> {
  const bytes = gunzipSync(readFileSync(fileURLToPath(new URL("../../golden/two-services.gz", import.meta.url))));
  const frames = new Map<number, Frame>();
  const splitter = new FrameSplitter();
  async function* whole() {
    yield bytes;
  }
  for await (const entry of readEntries(whole(), FLOWSPAN_PROTOCOL)) {
    if (entry.kind !== EntryKind.FROM_PROBE) continue;
    splitter.push(entry.bytes, (kind, payload) => frames.set(kind, { kind, payload: Buffer.from(payload) }));
  }
  return [...frames.values()];
}

/** Reads all that can be read of a value, getters too. */
function readAll(value: unknown, depth = 0): void {
  if (typeof value !== "object" || value === null || depth > 4) return;
  const getters = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(value));
  for (const [name, { get }] of Object.entries(getters))
    if (get !== undefined && name !== "__proto__") readAll(get.call(value), depth + 1);
  for (const each of Object.values(value)) readAll(each, depth + 1);
}

test("a damaged frame of the probe is an event that can be read to its last field, or a failure by name", async () => {
  const frames = await recordedFrames();
  expect(frames.length).toBeGreaterThanOrEqual(8);
  const kinds = new Set<string>();

  fc.assert(
    fc.property(fc.constantFrom(...frames), changes, ({ kind, payload }, list) => {
      const event = FRAMES.decode(kind, changed(payload, list), new RowPages(0));

      if (typeof event === "string") expect(DECODE_FAILURES).toContain(event);
      else readAll(event);
      kinds.add(typeof event === "string" ? event : event.kind);
    }),
    SETTINGS,
  );
  expect(kinds.size).toBeGreaterThan(8);
}, 60_000);

test("a damaged certificate or key is told in words that hold nothing of it", () => {
  using made = makeCertificates();
  const files = ["ca.pem", "server.pem", "server.key", "client.pem", "client.key"].map((name) =>
    readFileSync(made.path(name)),
  );
  const lines = (bytes: Buffer) =>
    bytes
      .toString("latin1")
      .split("\n")
      .filter((line) => /^[\w+/=]{16,}$/.test(line));

  fc.assert(
    fc.property(fc.constantFrom(...files), changes, (file, list) => {
      const bytes = changed(file, list);

      for (const problem of [certificateProblem(bytes), keyProblem(bytes)]) {
        if (problem === undefined) continue;
        expect(problem).toMatch(/^(a|no|nothing)\b/);
        for (const line of lines(bytes)) expect(problem).not.toContain(line);
      }
    }),
    { ...SETTINGS, numRuns: Math.ceil(numRuns / 2) },
  );
}, 60_000);

test("whatever an exec plugin prints is a credential or a refusal without a word of it", () => {
  const secret = "S3cr3t0123456789abcdef";
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "plugin", interactiveMode: "Never" } as const;
  const field = fc.oneof(
    fc.constantFrom(secret, `${secret}\n${secret}`, "", null, 1, [secret], { [secret]: secret }),
    fc.string({ maxLength: 20 }),
  );
  const status = fc.record(
    { token: field, clientCertificateData: field, clientKeyData: field, expirationTimestamp: field },
    { requiredKeys: [] },
  );
  const shape = fc.record(
    {
      apiVersion: fc.oneof({ weight: 5, arbitrary: fc.constant(exec.apiVersion) }, field),
      kind: fc.oneof({ weight: 5, arbitrary: fc.constant("ExecCredential") }, field),
      status: fc.oneof({ weight: 5, arbitrary: status }, field),
    },
    { requiredKeys: [] },
  );
  const text = fc.oneof(
    shape.map((printed) => JSON.stringify(printed)),
    fc.tuple(shape, changes).map(([printed, list]) => changed(Buffer.from(JSON.stringify(printed)), list).toString()),
    fc.string({ unit: "binary" }).map((noise) => `${noise}${secret}`),
  );

  fc.assert(
    fc.property(text, (printed) => {
      try {
        const { credential, expiresMs } = readCredential("exec plugin p", exec as never, printed);
        expect(credential.token !== undefined || (credential.cert !== undefined && credential.key !== undefined)).toBe(
          true,
        );
        expect(expiresMs).not.toBeNaN();
      } catch (error) {
        if (!(error instanceof ApiFailure)) throw error;
        expect([error.reason, `${error.message} ${error.remedy}`.includes(secret)]).toEqual(["credentials", false]);
      }
    }),
    { ...SETTINGS, numRuns: Math.ceil(numRuns / 10) },
  );
}, 60_000);

test("a trailer of any bytes is a delay that can be waited for, or none", () => {
  const retryInfo = Buffer.from(
    "1a360a28747970652e676f6f676c65617069732e636f6d2f676f6f676c652e7270632e5265747279496e666f120a0a0808051080ca",
    "hex",
  );

  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 400 }),
        changes.map((list) => changed(retryInfo, list)),
      ),
      (bytes) => {
        const delay = retryDelayMs(bytes);

        expect(delay === undefined || (Number.isFinite(delay) && delay >= 0)).toBe(true);
      },
    ),
    SETTINGS,
  );
}, 60_000);
