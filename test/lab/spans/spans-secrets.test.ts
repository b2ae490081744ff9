/**
 * What trace ids are made of and what they give away: each is the keyed hash of the two initial sequence numbers that
 * the wire showed; those numbers are in nothing that leaves an agent; and another key separates traces and
 * nothing else.
 *
 *   isn on the client's wire ─ sequence numbers ─┐
 *   key files, one for each agent ───────────────┴─ SipHash in this process = the trace ids of both ends
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { askAgent } from "../../../agent/telemetry/admin-client.ts";
import { missing, needs } from "../../machine/needs.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { ALL_SPANS, configDirectory, pairUp, replaceFile, SpanLab } from "../agents/span-lab.ts";
import { eventually, type LabProcess } from "../programs/process.ts";
import { program } from "../programs/run.ts";
import { sipHash } from "./siphash.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const CONNECTIONS = 23;
const KEYS = {
  old: Buffer.from("000102030405060708090a0b0c0d0e0f", "hex"),
  next: Buffer.from("f0e1d2c3b4a5968778695a4b3c2d1e0f", "hex"),
} as const;

/** Of the key files and the recordings. */
let keys: string | undefined;
let spanLab: SpanLab;
let wire: LabProcess;
let played = 0;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  keys = configDirectory();
  for (const node of ["node-1", "node-2"]) attributeSetKey(node, "old");
  spanLab = await SpanLab.start({
    spans: (node) => ({ ...ALL_SPANS, key_file: keyFile(node) }),
    agentArguments: (node) => ["--record", recording(node)],
  });
  await spanLab.lab.pod("server").serve({ listen: [{ port: 8080 }] });
  wire = spanLab.lab.pod("client").spawn([program("isn")]);
  await eventually(
    () => `a look at the wire: ${wire.describe()}`,
    () => wire.stdout[0] === "ready",
  );
});

afterAll(async () => {
  await spanLab?.close();
  if (keys !== undefined) rmSync(keys, { recursive: true, force: true });
});

test("a trace id is the keyed hash of the two numbers that a connection began with on the wire", async () => {
  const { pairs, odd } = pairUp(await play());

  expect([pairs.length, odd]).toEqual([CONNECTIONS, []]);
  expect(pairs.filter(({ client }) => client.traceId !== expected(client, "old"))).toEqual([]);
});

test("the sequence numbers are in nothing that left an agent, in no form", async () => {
  const output = await everythingSaid();
  const numbers = [...sequenceNumbers().values()].flatMap(({ client, server }) => [client, server]);
  const known = spanLab.spans.map(({ traceId }) => Buffer.from(traceId, "hex"));

  const found = numbers.filter((number) => forms(number).some((form) => output.includes(form)));
  expect(numbers.length).toBe(2 * CONNECTIONS);
  // The search finds what is there; and in a million bytes one such number may lie by chance.
  expect(known.filter((id) => !output.includes(id))).toEqual([]);
  expect(found.length).toBeLessThanOrEqual(1);
});

test("with another key at one end the ends are in two traces, each by its own key, and nothing else is different", async () => {
  await rotate("node-2", "next");
  const spans = await play();

  const ends = (kind: "client" | "server") => spans.filter((span) => span.kind === kind);
  expect(pairUp(spans)).toMatchObject({ pairs: [], odd: { length: 2 * CONNECTIONS } });
  expect([ends("client").length, ends("server").length]).toEqual([CONNECTIONS, CONNECTIONS]);
  expect(ends("client").filter((span) => span.traceId !== expected(span, "old"))).toEqual([]);
  expect(ends("server").filter((span) => span.traceId !== expected(span, "next"))).toEqual([]);
  const of = (kind: "client" | "server") => new Set(ends(kind).map(({ resource }) => resource["service.name"]));
  expect([of("client"), of("server")]).toEqual([new Set(["client"]), new Set(["server"])]);
});

test("with the new key at both ends they meet again", async () => {
  await rotate("node-1", "next");
  const { pairs, odd } = pairUp(await play());

  expect([pairs.length, odd]).toEqual([CONNECTIONS, []]);
  expect(pairs.filter(({ client }) => client.traceId !== expected(client, "next"))).toEqual([]);
});

test("metrics have counted each connection once all the while, and nothing was lost", () => {
  const { client, server } = spanLab.observed.ends();

  const all = { opened: played, closed: played, failed: 0 };
  expect(played).toBe(3 * CONNECTIONS);
  expect(client).toMatchObject(all);
  expect(server).toMatchObject(all);
  expect(spanLab.observed.losses()).toEqual({});
});

/** Some connections through the Service. @returns their spans */
async function play(): Promise<readonly ReceivedSpan[]> {
  const before = spanLab.spans.length;
  await spanLab.lab
    .pod("client")
    .play("send", { to: spanLab.service, count: CONNECTIONS, upload: 1009, download: 503 });
  played += CONNECTIONS;
  await spanLab.settled(before + 2 * CONNECTIONS);
  return spanLab.spans.slice(before);
}

function keyFile(node: string): string {
  return join(keys ?? "", `${node}.key`);
}

function recording(node: string): string {
  return join(keys ?? "", `${node}.rec`);
}

function attributeSetKey(node: string, key: keyof typeof KEYS): void {
  replaceFile(keyFile(node), KEYS[key].toString("hex"));
}

/** Replaces one agent's key while it runs; resolves when the kernel goes by it. */
async function rotate(node: string, key: keyof typeof KEYS): Promise<void> {
  const { agent } = spanLab.observed.agent(node);
  attributeSetKey(node, key);
  await eventually(
    () => `a word of the new key: ${agent.describe()}`,
    () => agent.stderr.some((line) => line.includes("another key")),
  );
  await spanLab.observed.exchanges(2);
}

interface Numbers {
  readonly client: number;
  readonly server: number;
}

/** By the client's port, as the wire showed them; a port that is used again has the last ones. */
function sequenceNumbers(): Map<number, Numbers> {
  const numbers = new Map<number, Numbers>();
  for (const line of wire.stdout.slice(1)) {
    const [kind, port, number] = line.split(" ");
    const before = numbers.get(Number(port)) ?? { client: 0, server: 0 };
    numbers.set(Number(port), { ...before, [kind === "syn" ? "client" : "server"]: Number(number) });
  }
  return numbers;
}

/** What the trace id of a span must be. */
function expected({ kind, attributes }: ReceivedSpan, key: keyof typeof KEYS): string {
  const port = attributes[kind === "client" ? "network.local.port" : "network.peer.port"];
  const { client, server } = sequenceNumbers().get(Number(port)) ?? { client: 0, server: 0 };
  return sipHash(KEYS[key], (BigInt(client) << 32n) | BigInt(server));
}

/** Requests, logs, status, edges and recordings of both agents. */
async function everythingSaid(): Promise<Buffer> {
  const requests = spanLab.receiver.requests.map(({ bytes }) => bytes);
  const others = await Promise.all(
    spanLab.nodes.map(async (node) => {
      const { agent, probe, adminSocket } = spanLab.observed.agent(node);
      const asked = await Promise.all(["/status", "/edges"].map((path) => askAgent(adminSocket, path)));
      const text = JSON.stringify([agent.stderr, agent.stdout, probe.stderr, probe.stdout, asked]);
      return Buffer.concat([Buffer.from(text), readFileSync(recording(node))]);
    }),
  );
  return Buffer.concat([...requests, ...others]);
}

/** A 32-bit number as text, as bytes in either order, as protobuf writes it and as a double. */
function forms(number: number): Buffer[] {
  const bytes = Buffer.alloc(4);
  const double = Buffer.alloc(8);
  bytes.writeUInt32LE(number);
  double.writeDoubleLE(number);
  const hex = number.toString(16).padStart(8, "0");
  const text = [String(number), hex, hex.toUpperCase()].map((each) => Buffer.from(each));
  return [...text, bytes, Buffer.from(bytes).reverse(), varint(number), double];
}

function varint(number: number): Buffer {
  const bytes: number[] = [];
  for (let rest = number; ; rest >>>= 7) {
    bytes.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) return Buffer.from(bytes);
  }
}
