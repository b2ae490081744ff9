/** Requests in flight, what is kept back after a failure, and what is told and logged. */
import { expect, test } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import type { Flow } from "../../../agent/model/flow.ts";
import { FlowEncoder } from "../../../agent/otlp/encode.ts";
import {
  createFlowExporter,
  type FlowExporterOptions,
  NOT_SENT,
  type RequestResult,
} from "../../../agent/otlp/flow-exporter.ts";
import type { Transport } from "../../../agent/otlp/transport.ts";
import { flow, METRICS, SCOPE } from "./flows.ts";

const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };

function failed(reason: string, retryable: boolean, retryAfterMs?: number): ExportOutcome {
  return { state: "failed", reason, retryable, retryAfterMs };
}

/** A Collector at the edge: answers in the order of `answers`, the last one for ever. */
class FakeCollector implements Transport {
  readonly target = "collector:4317";
  readonly #answers: ExportOutcome[];
  sent = 0;
  inFlight = 0;
  mostInFlight = 0;

  constructor(...answers: ExportOutcome[]) {
    this.#answers = answers;
  }

  async send(): Promise<ExportOutcome> {
    this.sent++;
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    await new Promise((resolve) => setImmediate(resolve));
    this.inFlight--;
    return (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) ?? ACCEPTED;
  }

  async shutdown(): Promise<void> {}
}

/** 23 flows, each too large to share a request. */
function flows(): Flow[] {
  return Array.from({ length: 23 }, (_, i) => flow({ attributes: { peer: `${i}`, padding: "x".repeat(300) } }));
}

function setUp(collector: FakeCollector, options: Partial<FlowExporterOptions> = {}) {
  const logged: string[] = [];
  const log = {
    info: (_: object, message: string) => logged.push(`info ${message}`),
    warn: (fields: object, message: string) =>
      logged.push(`warn ${message} ${"reason" in fields ? fields.reason : ""}`),
  };
  const encoder = new FlowEncoder({ metrics: METRICS, temporality: "cumulative", scope: SCOPE, maxRequestBytes: 2500 });
  return { logged, exporter: createFlowExporter({ encoder, transport: collector, log, ...options }) };
}

test("every flow is in one result, and at most two requests are in flight", async () => {
  const collector = new FakeCollector(ACCEPTED);
  const { exporter } = setUp(collector);
  const all = flows();

  const results = await exporter.exportFlows(all);

  const exported = results.flatMap((result) => result.flows);
  expect({ flows: exported.length, distinct: new Set(exported) }).toEqual({ flows: 23, distinct: new Set(all) });
  expect({ sent: collector.sent, most: collector.mostInFlight }).toEqual({ sent: 23, most: 2 });
});

test("a retryable failure keeps back the flows that were not sent yet, without encoding them", async () => {
  const collector = new FakeCollector(ACCEPTED, ACCEPTED, failed("UNAVAILABLE", true));
  const { exporter } = setUp(collector, { concurrency: 1 });

  const results = await exporter.exportFlows(flows());

  const summary = results.map(({ flows, outcome }) => [
    flows.length,
    outcome.state === "accepted" ? "accepted" : outcome.reason,
  ]);
  expect(summary).toEqual([
    [1, "accepted"],
    [1, "accepted"],
    [1, "UNAVAILABLE"],
    [20, NOT_SENT],
  ]);
  expect(collector.sent).toBe(3);
});

test("a request that the Collector refuses for good does not keep back the others", async () => {
  const collector = new FakeCollector(ACCEPTED, failed("INVALID_ARGUMENT", false), ACCEPTED);
  const { exporter } = setUp(collector);

  const results = await exporter.exportFlows(flows());

  expect(results.map((result) => result.outcome.state).sort()).toEqual([...Array(22).fill("accepted"), "failed"]);
});

test("nothing is sent before the delay that RetryInfo asked for is over", async () => {
  let nowMs = 1000;
  const collector = new FakeCollector(failed("UNAVAILABLE", true, 5000), ACCEPTED);
  const { exporter } = setUp(collector, { nowMs: () => nowMs });
  const one = [flow()];

  await exporter.exportFlows(one);
  const holdMs = exporter.holdMs();
  nowMs += 4999;
  const early = await exporter.exportFlows(one);
  nowMs += 1;
  const late = await exporter.exportFlows(one);

  expect(holdMs).toBe(5000);
  expect(early.map(({ outcome }) => outcome)).toEqual([failed(NOT_SENT, true)]);
  expect(late.map(({ outcome }) => outcome)).toEqual([ACCEPTED]);
  expect(collector.sent).toBe(2);
});

test("failures are logged once per change of state and told each", async () => {
  const collector = new FakeCollector(
    failed("UNAVAILABLE", true),
    failed("UNAVAILABLE", true),
    failed("DEADLINE_EXCEEDED", true),
    ACCEPTED,
    ACCEPTED,
  );
  const told: string[] = [];
  const onResult = ({ outcome }: RequestResult) => told.push(outcome.state === "accepted" ? "" : outcome.reason);
  const { exporter, logged } = setUp(collector, { onResult });

  for (let i = 0; i < 5; i++) await exporter.exportFlows([flow()]);

  expect(logged).toEqual([
    "warn export failed: growth stays in the kernel UNAVAILABLE",
    "warn export failed: growth stays in the kernel DEADLINE_EXCEEDED",
    "info export works again",
  ]);
  expect(told).toEqual(["UNAVAILABLE", "UNAVAILABLE", "DEADLINE_EXCEEDED", "", ""]);
});

test("an accepted request that lost points is accepted, and the reason is logged once", async () => {
  const collector = new FakeCollector({ state: "accepted", rejectedPoints: 3, message: "too old" });
  const { exporter, logged } = setUp(collector);

  const results = [...(await exporter.exportFlows([flow()])), ...(await exporter.exportFlows([flow()]))];

  expect(results.map(({ outcome }) => outcome.state)).toEqual(["accepted", "accepted"]);
  expect(logged).toEqual(["warn the Collector accepted a request in part "]);
});

test("no flows make no request and no result", async () => {
  const collector = new FakeCollector(ACCEPTED);
  const { exporter } = setUp(collector);

  expect(await exporter.exportFlows([])).toEqual([]);
  expect(collector.sent).toBe(0);
});
