import { afterEach, beforeEach, vi } from "vitest";
import { SpanExporter, type SpanExporterOptions } from "../../../agent/spans/export.ts";
import type { Entry, SpanStats } from "../../../agent/spans/queue.ts";
import type { Span } from "../../../agent/spans/span.ts";
import { connectionOf, namesOf } from "./builders.ts";
import { type Answer, FakeTransport } from "./fake-transport.ts";

/** For the tests of a file: timers that a test moves. */
export function useFakeTimers(): void {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

export const NO_DROPS = { queue_full: 0, rejected: 0, gave_up: 0, unnamed: 0, shutdown: 0 };
export const LIMITS = { queue: 100, batch: 10, delayMs: 1_000 };

/** A batch as bytes: the pid of each record. */
export const encode = (spans: readonly Span[]) => Uint8Array.from(spans.map(({ connection }) => connection.pid));
export const entry = (pid = 0): Entry => ({ connection: connectionOf({ pid }), offsetNs: 0n, arrivedMs: 0 });

export function exporterWith(answers: readonly Answer[] = [], changes: Partial<SpanExporterOptions> = {}) {
  const transport = new FakeTransport(answers);
  const said: string[] = [];
  const log = {
    info: (_: object, message: string) => said.push(message),
    warn: (_: object, m: string) => said.push(m),
  };
  const exporter = new SpanExporter({
    transport,
    encode,
    naming: () => () => namesOf(),
    limits: LIMITS,
    log,
    random: () => 0,
    ...changes,
  });
  return { exporter, transport, said };
}

export function add(exporter: SpanExporter, count: number): void {
  for (let i = 0; i < count; i++) exporter.add(entry(i % 251));
}

export function balance({ observed, accepted, dropped, pending }: SpanStats): number {
  return observed - accepted - pending - Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
