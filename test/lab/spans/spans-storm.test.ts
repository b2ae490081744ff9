/**
 * A partition: 100,003 connects that fail within seconds, with the sampling and the limits that ship. Spans come at
 * the configured rate, what is shed is counted, the agent does not grow, and metrics have every attempt.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { afterAll, beforeAll, expect } from "vitest";
import {
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_ROLE,
  METRIC_FLOWSPAN_TCP_CONNECTIONS,
} from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { seriesTotals, total } from "../../otlp/oracle.ts";
import { SpanLab } from "../agents/span-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const WARM_UP = 2_003;
const ATTEMPTS = 100_003;
/** `spans.rate` and `spans.burst` by default. */
const RATE = 1_000;
const BURST = 1_000;
const MIB = 1 << 20;

let spanLab: SpanLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  spanLab = await SpanLab.start({ spans: {} });
});

afterAll(() => spanLab?.close());

test("of 100,003 connects that a rule refuses, spans are bounded by the rate, and each is a span or counted as shed", async () => {
  const { lab, observed } = spanLab;
  const { pid } = observed.agent("node-1").agent;
  await lab.drop({ from: "client", to: "server", answer: "reset" });
  const to = [{ address: lab.pod("server").ips.v4, port: 8080 }];
  const begunMs = performance.now();
  // What the first spans cost is no growth.
  await lab.pod("client").play("fail", { to, count: WARM_UP, parallel: 64 });
  await observed.settled("the first failures", () => failures() === WARM_UP);
  await spanLab.settled(1);
  const before = memoryOf(pid).now;

  const client = await lab.pod("client").play("fail", { to, count: ATTEMPTS, parallel: 64 });
  const seconds = (performance.now() - begunMs) / 1000;
  await observed.settled("all failures", () => failures() === WARM_UP + ATTEMPTS);
  await spanLab.settled(1);

  const spans = spanLab.spans.length;
  const { records_shed = 0, ...losses } = observed.losses();
  expect(client.failed).toEqual({ ECONNREFUSED: ATTEMPTS });
  expect({ failures: failures(), losses }).toEqual({ failures: WARM_UP + ATTEMPTS, losses: {} });
  expect(spans + records_shed).toBe(WARM_UP + ATTEMPTS);
  expect(spans).toBeGreaterThanOrEqual(BURST);
  expect(spans).toBeLessThanOrEqual(availableParallelism() * (BURST + RATE * (seconds + 1)));
  expect(memoryOf(pid).most - before).toBeLessThan(48 * MIB);
});

/** By metrics. */
function failures(): number {
  const totals = seriesTotals(spanLab.receiver.points);
  const where = { [ATTR_FLOWSPAN_ROLE]: "client", [ATTR_ERROR_TYPE]: "refused" };
  return total(totals, METRIC_FLOWSPAN_TCP_CONNECTIONS.name, where);
}

/** Resident bytes of a process, now and at the most so far. */
function memoryOf(pid: number): { readonly now: number; readonly most: number } {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]);
  return { now: bytes("VmRSS"), most: bytes("VmHWM") };
}
