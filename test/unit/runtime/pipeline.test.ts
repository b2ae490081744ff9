import { expect, test } from "vitest";
import { AT } from "../../../agent/edges/counters.ts";
import type { ExchangeRows } from "../../../agent/edges/edge-table.ts";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import type { Flow } from "../../../agent/model/flow.ts";
import type { Cgroup } from "../../../agent/model/probe-event.ts";
import type { RequestResult } from "../../../agent/otlp/flow-exporter.ts";
import { makeFlowSteps } from "../../../agent/runtime/flow-steps.ts";
import { type PipelineParts, runPipeline } from "../../../agent/runtime/pipeline.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { IMMEDIATE_CLOCK, type IntervalClock, SystemClock } from "../../../agent/shared/ticker.ts";
import { type ExchangeData, type SettledRow, SourceError } from "../../../agent/source/source.ts";
import { FakeIdentity, FakeKernel, keyOf } from "../series/kernel.ts";
import { exchangeOf, FakeSource } from "../source/fake-source.ts";
import { exchangeFrames } from "../source/frames-builder.ts";

const EDGE = "client a>b:80";
const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };
const FAILED: ExportOutcome = { state: "failed", reason: "unavailable", retryable: true, retryAfterMs: undefined };

/** Plays a list of things that happen, one an exchange; the source ends after the last. */
class KernelSource extends FakeSource {
  readonly kernel = new FakeKernel();
  cgroups: readonly Cgroup[] = [];

  constructor(script: readonly (() => void)[]) {
    super(script.map((step) => () => this.#exchange(step)));
  }

  #exchange(step: () => void): ExchangeData {
    step();
    const free = () => this.calls.push("free");
    const whole = exchangeOf(exchangeFrames());
    const { rows, namespaces, end } = this.kernel.exchange();
    return { ...whole, rows, namespaces, end: { ...whole.end, ...end }, cgroups: this.cgroups, free };
  }

  override settle(rows: readonly SettledRow[]): void {
    super.settle(rows);
    this.kernel.settle(rows);
  }
}

/** Answers each export with the next outcome, accepted after the last; keeps what it was given. */
class FakeExporter {
  readonly sent: number[][] = [];
  readonly #outcomes: ExportOutcome[];

  constructor(outcomes: readonly ExportOutcome[] = []) {
    this.#outcomes = [...outcomes];
  }

  async exportFlows(flows: Iterable<Flow>): Promise<readonly RequestResult[]> {
    const all = [...flows];
    this.sent.push(all.map(({ counters }) => counters[AT.bytesSent] as number));
    const outcome = this.#outcomes.shift() ?? ACCEPTED;
    return [{ flows: all, points: 0, bytes: 0, durationMs: 0, outcome }];
  }
}

const silent = { info: () => {}, warn: () => {} };

function parts(source: KernelSource, changes: Partial<PipelineParts> = {}): PipelineParts {
  const identity = new FakeIdentity();
  return {
    source,
    identity,
    steps: makeFlowSteps(DEFAULT_AGGREGATE_OPTIONS, identity, undefined, keyOf),
    exporter: new FakeExporter(),
    clock: IMMEDIATE_CLOCK,
    stop: new AbortController().signal,
    log: silent,
    ...changes,
  };
}

function grow(source: () => KernelSource, bytesSent: number): () => void {
  return () => source().kernel.grow(EDGE, { bytesSent });
}

test("each exchange is exported, settled and flushed before the next begins", async () => {
  const source: KernelSource = new KernelSource([grow(() => source, 23), grow(() => source, 29)]);
  const exporter = new FakeExporter();

  const totals = await runPipeline(parts(source, { exporter }));

  const turn = ["exchange", "settle 1", "flush", "free"];
  expect(source.calls).toEqual([...turn, ...turn]);
  expect(exporter.sent).toEqual([[23], [52]]);
  expect(totals).toEqual({ turns: 3, failedTurns: 0, skippedTicks: 0, settledRows: 2 });
});

test("rows of a request that failed are not settled, are not freed and go out with the next", async () => {
  const source: KernelSource = new KernelSource([grow(() => source, 23), grow(() => source, 29)]);
  const exporter = new FakeExporter([FAILED]);

  await runPipeline(parts(source, { exporter }));

  expect(source.calls).toEqual(["exchange", "flush", "exchange", "settle 1", "flush", "free"]);
  expect({ sent: exporter.sent, left: source.kernel.unsettled() }).toEqual({ sent: [[23], [52]], left: {} });
});

test("new cgroups are named before the rows of their exchange", async () => {
  const cgroup: Cgroup = { id: 23n, seenNs: 0n, names: ["cri-containerd-1.scope"] };
  const seen: unknown[] = [];
  const source: KernelSource = new KernelSource([grow(() => source, 23)]);
  source.cgroups = [cgroup];
  const given = parts(source);
  const note = (exchange: ExchangeRows) => {
    seen.push("rows");
    return exchange;
  };

  await runPipeline({
    ...given,
    identity: { addCgroup: (added) => seen.push(added) },
    steps: { ...given.steps, edges: { observe: (exchange) => given.steps.edges.observe(note(exchange)) } },
  });

  expect(seen).toEqual([cgroup, "rows"]);
});

test("what stands between names and series keeps growth out of both flows and settlement", async () => {
  const other = "client a>c:80";
  const source: KernelSource = new KernelSource([
    () => {
      source.kernel.grow(EDGE, { bytesSent: 23 });
      source.kernel.grow(other, { bytesSent: 29 });
    },
  ]);
  const exporter = new FakeExporter();
  const given = parts(source, { exporter });
  const name: PipelineParts["steps"]["naming"]["name"] = (growth) => {
    const named = given.steps.naming.name(growth);
    return { ...named, edges: named.edges.filter(({ key }) => key.remoteAddress !== "c") };
  };

  await runPipeline({ ...given, steps: { ...given.steps, naming: { name } } });

  expect({ sent: exporter.sent, left: source.kernel.unsettled() }).toEqual({
    sent: [[23]],
    left: { bytesSent: 29 },
  });
});

test("an error costs its own turn only, and is said once until exchanges work again", async () => {
  const broken = () => {
    throw new SourceError("disconnected", "the probe is gone");
  };
  const source: KernelSource = new KernelSource([grow(() => source, 23), broken, broken, grow(() => source, 29)]);
  const exporter = new FakeExporter();
  const said: string[] = [];
  const log = {
    info: (_: object, text: string) => said.push(text),
    warn: (_: object, text: string) => said.push(text),
  };

  const totals = await runPipeline(parts(source, { exporter, log }));

  expect(exporter.sent).toEqual([[23], [52]]);
  expect(totals).toEqual({ turns: 5, failedTurns: 2, skippedTicks: 0, settledRows: 2 });
  expect(said).toEqual([
    "an exchange failed: its growth stays in the kernel, the next tick tries again",
    "exchanges work again",
  ]);
});

test("skipped ticks are counted", async () => {
  const source: KernelSource = new KernelSource([() => {}, () => {}]);
  const skips = [0, 3, 2];
  const clock: IntervalClock = { next: async () => skips.shift() ?? 0 };

  const totals = await runPipeline(parts(source, { clock }));

  expect(totals.skippedTicks).toBe(5);
});

test("stopping makes one last exchange, settled and flushed", async () => {
  const stopping = new AbortController();
  const source: KernelSource = new KernelSource([
    grow(() => source, 23),
    grow(() => source, 29),
    grow(() => source, 31),
  ]);
  const ticks = [() => {}, () => stopping.abort()];
  const clock: IntervalClock = { next: async () => Number(ticks.shift()?.() ?? 0) };
  const exporter = new FakeExporter();

  await runPipeline(parts(source, { clock, exporter, stop: stopping.signal }));

  expect({ sent: exporter.sent, left: source.kernel.unsettled() }).toEqual({ sent: [[23], [52]], left: {} });
});

test("a Collector that hangs holds up the end no longer than the deadline", async () => {
  const stopping = new AbortController();
  const source: KernelSource = new KernelSource([grow(() => source, 23)]);
  const exporter = {
    exportFlows: () => {
      stopping.abort();
      return new Promise<never>(() => {});
    },
  };
  const said: string[] = [];
  const log = { ...silent, warn: (_: object, text: string) => said.push(text) };

  await runPipeline(parts(source, { exporter, log, stop: stopping.signal, lastTurnMs: 1 }));

  expect({ said, left: source.kernel.unsettled() }).toEqual({
    said: ["stopped before the last exchange was settled: its growth stays in the kernel"],
    left: { bytesSent: 23 },
  });
});

test("the clock's first tick is at once, and one that passed meanwhile is skipped and counted", async () => {
  const stop = new AbortController().signal;
  const clock = new SystemClock(10);

  const first = await clock.next(stop);
  const busyUntil = performance.now() + 25;
  while (performance.now() < busyUntil);
  const skipped = await clock.next(stop);

  expect(first).toBe(0);
  expect(skipped).toBeGreaterThanOrEqual(2);
});

test("a wait for a tick ends when the pipeline stops, and when the interval shrinks", async () => {
  const stopping = new AbortController();
  const clock = new SystemClock(3_600_000);
  await clock.next(stopping.signal);

  const shortened = clock.next(stopping.signal);
  clock.set(1);
  await shortened;
  clock.set(3_600_000);
  const stopped = clock.next(stopping.signal);
  stopping.abort();

  expect(await stopped).toBe(0);
});
