/**
 * All that a busy agent talks to, as a program of its own so that only the agent's cost is the agent's: a probe
 * that says the same growth on every edge in every exchange and sends connection records at a rate, an OTLP receiver that
 * counts points and spans, and a Kubernetes API with a large cluster.
 *
 *   node test/bench/world.ts '{"localPods":100,"knownPods":10000,"workloads":1000,"edges":10000}'
 *
 * Prints where it listens, then one JSON line for each settled exchange; loaded-agent.ts starts it.
 */
import { chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import { setInterval } from "node:timers/promises";
import { FrameKind, frameConnection, frameEdge, frameExchange } from "../../agent/generated/layout.ts";
import { type Frame, packFrames } from "../../agent/source/frames.ts";
import { FakeApiServer } from "../kubernetes/fake-api-server.ts";
import { namespaceObject, nodeObject, podObject } from "../kubernetes/kubernetes-objects.ts";
import { uuid } from "../lab/world/describe.ts";
import { Receiver } from "../otlp/receiver.ts";
import { type FakeConnection, FakeProbe } from "../unit/source/fake-probe.ts";
import { type EdgeValues, exchangeFrames, settledFrame } from "../unit/source/frames-builder.ts";
import type { WorldProgress, WorldReady, WorldSize } from "./loaded-agent.ts";
import { recordFrames } from "./records.ts";
import { makeServiceAccount, tlsOf } from "./service-account.ts";

const NODE = "node-1";
type Path = readonly (readonly number[])[];
/** Fields that lead to the data points of a request: resource_metrics, scope_metrics, metrics, the kind, then the points. */
const POINTS: Path = [[1], [2], [2], [5, 7, 10], [1]];
/** And to spans: resource_spans, scope_spans, spans. */
const SPANS: Path = [[1], [2], [2]];
/** Of a probe that gathers: a batch is read and written at once. */
const RECORDS_A_BATCH = 250;

const size = JSON.parse(process.argv[2] ?? "{}") as WorldSize;
const now = () => process.hrtime.bigint();

let points = 0;
let spans = 0;
let records = 0;
const receiver = await Receiver.start({
  takeBytes: (signal, bytes) => {
    if (signal === "traces") spans += countAt(SPANS, bytes);
    else points += countAt(POINTS, bytes);
  },
});

const probe = await new FakeProbe().listen();
const directory = dirname(probe.path);
const account = makeServiceAccount(join(directory, "account"));
const api = new FakeApiServer({ tls: tlsOf(account) });
await api.start();
for (const name of ["default", "kube-system"]) api.put(namespaceObject(name, uuid(name)));
for (const name of [NODE, "node-2"]) api.put(nodeObject({ name, uid: uuid(name), ips: [] }));
for (let pod = 0; pod < size.knownPods; pod++) api.put(podObject(describePod(pod)));

// The agent is another user.
for (const path of [directory, probe.path]) chmodSync(path, 0o777);

process.on("SIGTERM", async () => {
  await probe.close();
  process.exit();
});
say({
  probeSocket: probe.path,
  endpoint: receiver.endpoint,
  account: { directory: account.directory, port: api.port },
} satisfies WorldReady);
await serve();

function say(message: WorldReady | WorldProgress): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Plays the probe for one agent, until that is gone. */
async function serve(): Promise<void> {
  const frames = exchangeFrames({
    cgroups: Array.from({ length: size.localPods }, (_, pod) => ({ id: cgroupOf(pod), names: cgroupNames(pod) })),
    edges: Array.from({ length: size.edges }, (_, edge) => describeEdge(edge)),
    status: { edges: size.edges },
  });
  const again = frames.filter(({ kind }) => kind !== FrameKind.FRAME_CGROUP);
  const agent = await probe.welcome({ bootNs: now(), startedNs: now(), realtimeNs: BigInt(Date.now()) * 1_000_000n });
  let exchanges = 0;
  let settledRows = 0;
  let lastNs = now();
  if (size.spansPerSecond !== undefined) void sendRecords(agent, size.spansPerSecond);
  for (;;) {
    const { kind } = await agent.commandFrame();
    if (kind === FrameKind.COMMAND_EXCHANGE) {
      const said = exchanges === 0 ? frames : again;
      const bootNs = now();
      for (const frame of said) date(frame, BigInt(exchanges + 1), bootNs, lastNs);
      lastNs = bootNs;
      exchanges++;
      settledRows = 0;
      agent.sendBytes(packFrames(said));
    } else if (kind === FrameKind.COMMAND_SETTLE) {
      settledRows++;
    } else if (kind === FrameKind.COMMAND_FLUSH) {
      // One comes with each part of a settle.
      agent.send(settledFrame({ rows: settledRows }));
      if (settledRows >= size.edges) say({ exchanges, settledRows, points, spans, records });
    }
  }
}

/** Sends records of connections that ended just now at an even rate, for ever. */
async function sendRecords(agent: FakeConnection, perSecond: number): Promise<void> {
  const place = (record: number) => ({
    cgroup: cgroupOf(record % size.localPods),
    localAddress: addressOf(record % size.localPods),
    remoteAddress: addressOf(size.localPods + ((record * 7) % 1_000)),
  });
  const batches = Math.ceil(perSecond / RECORDS_A_BATCH);
  const length = perSecond / batches;
  const frames = recordFrames(perSecond, 1_000_000_000_000n, place);
  for await (const _ of setInterval(1000 / batches)) {
    const from = records % frames.length;
    const batch = frames.slice(from, from + length);
    for (const { payload } of batch) endNow(payload, records++);
    agent.sendBytes(packFrames(batch));
  }
}

/** Moves a record to now, and gives it a trace id of its own. */
function endNow(payload: Uint8Array, record: number): void {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const { traceId, startNs, establishedNs, endNs } = frameConnection.fields;
  const laterNs = now() - bytes.readBigUInt64LE(endNs.offset);
  for (const { offset } of [startNs, establishedNs, endNs]) {
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(offset) + laterNs, offset);
  }
  bytes.writeUInt32LE(record, traceId.offset);
}

/** Gives a frame the number and the times of an exchange. */
function date({ kind, payload }: Frame, exchange: bigint, bootNs: bigint, sinceNs: bigint): void {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (kind === FrameKind.FRAME_EDGE) {
    bytes.writeBigUInt64LE(exchange, frameEdge.fields.exchange.offset);
    bytes.writeBigUInt64LE(sinceNs, frameEdge.fields.sinceNs.offset);
  } else if (kind === FrameKind.FRAME_EXCHANGE_BEGIN || kind === FrameKind.FRAME_EXCHANGE_END) {
    bytes.writeBigUInt64LE(exchange, frameExchange.fields.exchange.offset);
    bytes.writeBigUInt64LE(bootNs, frameExchange.fields.bootNs.offset);
    bytes.writeBigUInt64LE(BigInt(Date.now()) * 1_000_000n, frameExchange.fields.realtimeNs.offset);
  }
}

function describePod(pod: number) {
  const isLocal = pod < size.localPods;
  return {
    name: `app-${pod % size.workloads}-7d9f8b6c54-${pod}`,
    uid: uuid(`pod ${pod}`),
    node: isLocal ? NODE : "node-2",
    ips: [addressOf(pod)],
    owner: `Deployment/app-${pod % size.workloads}`,
    labels: { app: `app-${pod % size.workloads}`, team: `team-${pod % 17}` },
    containers: [{ name: "main", id: containerOf(pod) }],
    created: "2026-01-01T00:00:00Z",
  };
}

/** An edge of each kind of growth: a busy pod's, in an interval in which nothing went wrong. */
function describeEdge(edge: number): EdgeValues {
  const local = edge % size.localPods;
  const others = size.knownPods - size.localPods;
  // Neighbouring numbers are of different workloads: with 100 or more, the peers of one pod never share one.
  const remote = size.localPods + ((local * 91 + Math.floor(edge / size.localPods)) % others);
  const isServer = edge % 2 === 1;
  const count = 3 + (edge % 5);
  return {
    key: {
      cgroup: cgroupOf(local),
      localAddress: addressOf(local),
      remoteAddress: addressOf(remote),
      role: isServer ? "server" : "client",
      serverPort: 8080,
    },
    counters: {
      bytesSent: count * 1009,
      bytesReceived: count * 5003,
      segsOut: count * 7,
      segsIn: count * 9,
      busyUs: count * 811,
      opened: count,
      closed: count,
      handshakeUs: count * 311,
      rttUs: count * 293,
      durationUs: count * 40_009,
    },
    slots: [
      [33, count],
      [112 + 32, count - 1],
      [112 + 34, 1],
      [224 + 61, count],
    ],
    open: edge % 3,
  };
}

function addressOf(pod: number): string {
  return `10.${244 + (pod >> 16)}.${(pod >> 8) & 255}.${pod & 255}`;
}

function cgroupOf(pod: number): bigint {
  return 10_000n + BigInt(pod);
}

function containerOf(pod: number): string {
  return uuid(`container ${pod}`).replaceAll("-", "").padEnd(64, "0");
}

/** As containerd names them below the kubelet, leaf first. */
function cgroupNames(pod: number): string[] {
  const uid = uuid(`pod ${pod}`).replaceAll("-", "_");
  const slice = "kubepods-burstable";
  return [`cri-containerd-${containerOf(pod)}.scope`, `${slice}-pod${uid}.slice`, `${slice}.slice`, "kubepods.slice"];
}

/** How many messages a request holds at the end of a path, without decoding them: this process must keep up with the agent. */
function countAt(path: Path, bytes: Uint8Array, from = 0, to = bytes.length, depth = 0): number {
  let count = 0;
  let at = from;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < to) {
    const tag = varint();
    const type = tag & 7;
    if (type !== 2) {
      if (type === 0) varint();
      else at += type === 1 ? 8 : 4;
      continue;
    }
    const end = varint() + at;
    if (path[depth]?.includes(tag >> 3)) {
      count += depth === path.length - 1 ? 1 : countAt(path, bytes, at, end, depth + 1);
    }
    at = end;
  }
  return count;
}
