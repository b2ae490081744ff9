/** Log records on their way to the Collector: none is lost without a count, whatever the Collector does. */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LogRecord, LogStats } from "../../../agent/model/log-record.ts";
import { LogExporter } from "../../../agent/otlp/log-exporter.ts";
import { encodeLogs } from "../../../agent/otlp/log-request.ts";
import { decodeLogs } from "../../otlp/logs.ts";
import { ACCEPTED, type Answer, FakeTransport, failing, rejecting } from "../spans/fake-transport.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const SCOPE = { name: "flowspan", version: "0.1.0", schemaUrl: "https://opentelemetry.io/schemas/1.45.0" };
const NO_DROPS = { log_queue_full: 0, log_rejected: 0, log_gave_up: 0, log_shutdown: 0 };
const QUIET = { info: () => {}, warn: () => {} };

function recordOf(changes: Partial<LogRecord> = {}): LogRecord {
  return {
    eventName: "flowspan.finding.connect_refused",
    timeUnixNs: 1_700_000_000_123_456_789n,
    severity: "error",
    body: "Connects are refused.",
    attributes: { "flowspan.connect.refused": 23 },
    resource: { id: "cart", attributes: { "service.name": "cart" } },
    ...changes,
  };
}

const records = (count: number) => Array.from({ length: count }, () => recordOf());

function exporterWith(answers: readonly Answer[] = [], limits = { queue: 100, batch: 10, delayMs: 1_000 }) {
  const transport = new FakeTransport(answers);
  const encode = (batch: readonly LogRecord[]) => Uint8Array.of(batch.length);
  const exporter = new LogExporter({ transport, encode, limits, log: QUIET, random: () => 0 });
  return { exporter, transport };
}

function balance({ observed, accepted, dropped, pending }: LogStats): number {
  return observed - accepted - pending - Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

test("a batch that is not full waits for its delay, a full one does not", async () => {
  const { exporter, transport } = exporterWith();

  exporter.add(records(3));
  await vi.advanceTimersByTimeAsync(999);
  const early = transport.sent.length;
  await vi.advanceTimersByTimeAsync(1);
  exporter.add(records(10));
  await vi.advanceTimersByTimeAsync(0);

  expect([early, transport.sent.map(([count]) => count)]).toEqual([0, [3, 10]]);
  expect(exporter.stats()).toMatchObject({ observed: 13, accepted: 13, pending: 0 });
});

test.each([
  ["refuses them for good", failing(false), { ...NO_DROPS, log_rejected: 3 }],
  ["is away for five minutes", failing(true), { ...NO_DROPS, log_gave_up: 3 }],
] as const)("records that a Collector %s are dropped under that name", async (_, answer, dropped) => {
  const { exporter } = exporterWith([answer]);

  exporter.add(records(3));
  await vi.advanceTimersByTimeAsync(400_000);

  expect(exporter.stats()).toEqual({ observed: 3, accepted: 0, dropped, pending: 0, limit: 100 });
});

test("what the Collector rejects of a request is dropped, the rest accepted", async () => {
  const { exporter } = exporterWith([rejecting(1)]);

  exporter.add(records(3));
  await vi.advanceTimersByTimeAsync(1_000);

  expect(exporter.stats()).toMatchObject({ accepted: 2, dropped: { ...NO_DROPS, log_rejected: 1 }, pending: 0 });
});

test("what finds no room is dropped at once", () => {
  const { exporter } = exporterWith(["never"], { queue: 5, batch: 10, delayMs: 1_000 });

  exporter.add(records(7));

  expect(exporter.stats()).toMatchObject({ pending: 5, dropped: { ...NO_DROPS, log_queue_full: 2 } });
});

test("the end sends what waits; what hangs is dropped when its time is over", async () => {
  const sends = exporterWith([ACCEPTED]);
  const hangs = exporterWith(["never"]);
  sends.exporter.add(records(3));
  hangs.exporter.add(records(3));

  const ends = Promise.all([sends.exporter.shutdown(5_000), hangs.exporter.shutdown(5_000)]);
  await vi.advanceTimersByTimeAsync(5_000);
  await ends;

  expect(sends.exporter.stats()).toMatchObject({ accepted: 3, dropped: NO_DROPS, pending: 0 });
  expect(hangs.exporter.stats()).toMatchObject({ accepted: 0, dropped: { ...NO_DROPS, log_shutdown: 3 }, pending: 0 });
});

const anyAnswer = fc.constantFrom<Answer>(ACCEPTED, rejecting(2), failing(true), failing(false), failing(true, 3_000), {
  afterMs: 700,
  outcome: ACCEPTED,
});
const anyStep = fc.record({ count: fc.integer({ min: 0, max: 15 }), ms: fc.integer({ min: 0, max: 5_000 }) });

test("observed is accepted, dropped and pending at every moment, whatever the Collector answers", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyAnswer, { minLength: 1 }),
      fc.array(anyStep, { maxLength: 12 }),
      async (answers, steps) => {
        const { exporter } = exporterWith(answers, { queue: 20, batch: 5, delayMs: 1_000 });
        for (const { count, ms } of steps) {
          exporter.add(records(count));
          expect(balance(exporter.stats())).toBe(0);
          await vi.advanceTimersByTimeAsync(ms);
          expect(balance(exporter.stats())).toBe(0);
        }
        const ended = exporter.shutdown(2_000);
        await vi.advanceTimersByTimeAsync(2_000);
        await ended;
        expect(exporter.stats().pending).toBe(0);
        expect(balance(exporter.stats())).toBe(0);
      },
    ),
    { numRuns: 50 },
  );
});

test("a request holds each record with its event name, severity, time, Resource and attributes", () => {
  const attributes = { "flowspan.finding.value": 0.25, "flowspan.peer.kind": "pod", "server.port": 80 };
  const other = recordOf({ severity: "info", attributes, resource: { id: "node", attributes: { "host.name": "n" } } });

  const received = decodeLogs(encodeLogs([recordOf(), other, recordOf()], SCOPE));

  const said = {
    eventName: "flowspan.finding.connect_refused",
    timeUnixNs: 1_700_000_000_123_456_789n,
    body: "Connects are refused.",
    scope: "flowspan",
  };
  const refused = { severity: "ERROR", severityNumber: 17, attributes: { "flowspan.connect.refused": 23 } };
  const ofCart = { ...said, ...refused, resource: { "service.name": "cart" } };
  expect(received).toEqual([
    ofCart,
    ofCart,
    { ...said, severity: "INFO", severityNumber: 9, attributes, resource: { "host.name": "n" } },
  ]);
});
