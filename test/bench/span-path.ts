/**
 * What a span costs on the pure way, without sockets: frames split, records kept, named, made spans, encoded.
 *
 * The same with the stock serializer in the place of ours, in turns: the ratio of the two holds on a busy machine too.
 */
import { setImmediate } from "node:timers/promises";
import { FRAMES } from "../../agent/source/decode.ts";
import { FrameSplitter, packFrames } from "../../agent/source/frames.ts";
import { RowPages } from "../../agent/source/rows.ts";
import { Exemplars } from "../../agent/spans/exemplars.ts";
import type { Span } from "../../agent/spans/span.ts";
import { Spans } from "../../agent/spans/spans.ts";
import { uuid } from "../lab/world/describe.ts";
import { clusterIdentity, ns, pod, put, START_MS } from "../unit/naming/cluster-builders.ts";
import { stockBytes } from "../unit/spans/stock.ts";
import { median, type Scale } from "./measure.ts";
import { recordFrames } from "./records.ts";
import { number, type Row, ratio, verdictOf } from "./table.ts";

/** Full batches. */
const RECORDS = 10 * 512;
const PODS = 1_000;
const LOCAL_PODS = 100;
/** A socket's read. */
const CHUNK_BYTES = 64 * 1024;
const LIMITS = { queue: 8_192, batch: 512, delayMs: 1_000 };
const SCOPE = { name: "flowspan", version: "1", schemaUrl: "https://example.org/schemas/1" };
/** When they end, long after all names are known. */
const END_NS = ns(START_MS + 600_000);
const MUST_REACH = 0.4;

export async function measureSpanPath({ quick }: Scale): Promise<Row> {
  const ours = wayOf(undefined);
  const stock = wayOf((spans) => stockBytes(spans, SCOPE));
  const [warm, rounds] = quick ? [2, 3] : [20, 15];
  const tookUs: { ours: number; stock: number }[] = [];
  for (let round = 0; round < warm + rounds; round++) {
    const took = { stock: await stock(), ours: await ours() };
    if (round >= warm) tookUs.push(took);
  }
  const ratios = tookUs.map((each) => each.ours / each.stock);
  const [oursUs, stockUs] = [median(tookUs.map((each) => each.ours)), median(tookUs.map((each) => each.stock))];
  return {
    budget: "span-path",
    measured: `${ratio(median(ratios))}: ${number(oursUs, 1)} µs, stock ${number(stockUs, 1)} µs`,
    verdict: verdictOf(median(ratios) <= MUST_REACH),
    how: `CPU of this process, its garbage collection too, medians of ${rounds} rounds in turns of ${number(RECORDS)} records of ${LOCAL_PODS} pods, after ${warm} to warm up`,
  };
}

/** @returns a round: CPU a span in microseconds */
function wayOf(encode: ((spans: readonly Span[]) => Uint8Array) | undefined): () => Promise<number> {
  const exemplars = new Exemplars();
  const spans = new Spans({
    transport: {
      target: "nowhere",
      send: async () => ({ state: "accepted", rejectedPoints: 0, message: "" }),
      shutdown: async () => {},
    },
    ...(encode && { encode }),
    limits: LIMITS,
    scope: SCOPE,
    log: { info: () => {}, warn: () => {} },
    exemplars: { into: exemplars, flowOf: (key) => `${key.role} ${key.localAddress}` },
  });
  spans.clocks({ bootNs: END_NS - 10_000_000_000n, realtimeNs: END_NS });
  spans.nameBy(busyIdentity());
  const frames = recordFrames(RECORDS, END_NS, (record) => ({
    cgroup: cgroupOf(record % LOCAL_PODS),
    localAddress: addressOf(record % LOCAL_PODS),
    remoteAddress: addressOf(LOCAL_PODS + ((record * 7) % (PODS - LOCAL_PODS))),
  }));
  const bytes = packFrames(frames);
  return async () => {
    const before = { cpu: process.cpuUsage(), accepted: spans.stats().accepted };
    await receive(bytes, spans);
    const { user, system } = process.cpuUsage(before.cpu);
    const accepted = spans.stats().accepted - before.accepted;
    if (accepted !== RECORDS) throw new Error(`${accepted} of ${RECORDS} records became spans`);
    exemplars.clear(2n ** 63n);
    return (user + system) / RECORDS;
  };
}

async function receive(bytes: Buffer, spans: Spans): Promise<void> {
  const splitter = new FrameSplitter();
  const pages = new RowPages(0);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    splitter.push(bytes.subarray(at, at + CHUNK_BYTES), (kind, payload) => {
      const event = FRAMES.decode(kind, payload, pages);
      if (typeof event === "string" || event.kind !== "connection") throw new Error(`not a record: ${String(event)}`);
      spans.add(event);
    });
    await setImmediate();
  }
  while (spans.pending > 0) await setImmediate();
}

function busyIdentity() {
  const pods = Array.from({ length: PODS }, (_, i) =>
    pod(`app-${i % 50}-7d9f8b6c54-${i}`, {
      uid: uuid(`pod ${i}`),
      addresses: [addressOf(i)],
      node: i < LOCAL_PODS ? "node-1" : "node-2",
    }),
  );
  const identity = clusterIdentity();
  put(identity, { pods, localPods: pods.slice(0, LOCAL_PODS) });
  for (const [i, { uid }] of pods.slice(0, LOCAL_PODS).entries()) {
    const names = [`kubepods-pod${uid.replaceAll("-", "_")}.slice`, "kubepods.slice"];
    identity.addCgroup({ id: cgroupOf(i), seenNs: ns(START_MS), names });
  }
  return identity;
}

function cgroupOf(i: number): bigint {
  return 10_000n + BigInt(i);
}

function addressOf(i: number): string {
  return `10.244.${i >> 8}.${i & 255}`;
}
