/**
 * The way of a span to the Collector: batches, tries, and above all that every span is accepted, dropped with
 * a reason or pending at any moment.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SpanExporter, type SpanExporterOptions } from "../../../agent/spans/export.ts";
import type { Entry, Naming, SpanStats } from "../../../agent/spans/queue.ts";
import type { Span } from "../../../agent/spans/span.ts";
import { connectionOf, namesOf } from "./builders.ts";
import { ACCEPTED, type Answer, FakeTransport, failing, rejecting } from "./fake-transport.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const NO_DROPS = { queue_full: 0, rejected: 0, gave_up: 0, unnamed: 0, shutdown: 0 };
const LIMITS = { queue: 100, batch: 10, delayMs: 1_000 };

/** A batch as bytes: the pid of each record. */
const encode = (spans: readonly Span[]) => Uint8Array.from(spans.map(({ connection }) => connection.pid));
const entry = (pid = 0): Entry => ({ connection: connectionOf({ pid }), offsetNs: 0n, arrivedMs: 0 });

function exporterWith(answers: readonly Answer[] = [], changes: Partial<SpanExporterOptions> = {}) {
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

function add(exporter: SpanExporter, count: number): void {
  for (let i = 0; i < count; i++) exporter.add(entry(i % 251));
}

function balance({ observed, accepted, dropped, pending }: SpanStats): number {
  return observed - accepted - pending - Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

test("whoever counts what is pending is told of each change: an answer, a drop and the end", async () => {
  const pending: number[] = [];
  const onResolved = () => pending.push(exporter.pending);
  const { exporter } = exporterWith([ACCEPTED, failing(false)], { onResolved });

  add(exporter, 25);
  await vi.advanceTimersByTimeAsync(0);
  add(exporter, 3);
  await exporter.shutdown(0);

  expect(pending).toEqual([15, 5, 0]);
  expect(exporter.stats()).toMatchObject({ accepted: 10, dropped: { rejected: 10, shutdown: 8 }, pending: 0 });
});

describe("batches", () => {
  test("a full one goes at once, what is left after the delay, in the order in which it came", async () => {
    const { exporter, transport } = exporterWith();

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);
    const atOnce = transport.sent.length;
    add(exporter, 3);
    await vi.advanceTimersByTimeAsync(999);
    const before = transport.sent.length;
    await vi.advanceTimersByTimeAsync(1);

    expect([atOnce, before]).toEqual([1, 1]);
    expect(transport.sent).toEqual([Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), Uint8Array.of(0, 1, 2)]);
    expect(exporter.stats()).toEqual({
      observed: 13,
      accepted: 13,
      dropped: NO_DROPS,
      pending: 0,
      unnamed: 0,
      limit: 100,
    });
  });

  test("what came while one was on its way waits until it is one itself, or for the delay", async () => {
    const { exporter, transport } = exporterWith([{ afterMs: 100, outcome: ACCEPTED }]);

    add(exporter, 23);
    await vi.advanceTimersByTimeAsync(1_199);
    const before = transport.sent.map((bytes) => bytes.length);
    await vi.advanceTimersByTimeAsync(1);

    expect([before, transport.sent.map((bytes) => bytes.length)]).toEqual([
      [10, 10],
      [10, 10, 3],
    ]);
  });

  test("one that is too large for a Collector goes in parts", async () => {
    const large = (spans: readonly Span[]) => new Uint8Array(spans.length * 1024 * 1024);
    const { exporter, transport } = exporterWith([], { encode: large });

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);

    expect(transport.sent.map((bytes) => bytes.length / 1024 / 1024)).toEqual([3, 2, 3, 2]);
    expect(exporter.stats()).toMatchObject({ accepted: 10, pending: 0 });
  });
});

describe("tries", () => {
  test("a Collector that is away is asked again with growing pauses, and nothing is lost", async () => {
    const away = failing(true);
    const { exporter, transport, said } = exporterWith([away, away, away, ACCEPTED]);

    add(exporter, 10);
    const tries: number[] = [];
    for (const ms of [0, 250, 500, 1_000]) {
      await vi.advanceTimersByTimeAsync(ms);
      tries.push(transport.sent.length);
    }

    expect(tries).toEqual([1, 2, 3, 4]);
    expect(exporter.stats()).toMatchObject({ accepted: 10, pending: 0, dropped: NO_DROPS });
    expect(said).toEqual(["spans are not accepted", "spans are accepted again"]);
  });

  test("what the Collector asks for is waited for, to the millisecond", async () => {
    const { exporter, transport } = exporterWith([failing(true, 7_000), ACCEPTED]);

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(6_999);
    const before = transport.sent.length;
    await vi.advanceTimersByTimeAsync(1);

    expect([before, transport.sent.length]).toEqual([1, 2]);
  });

  test.each([0, 0.001, 20])(
    "a Collector that asks to come back in %s ms is asked with growing pauses all the same",
    async (askedMs) => {
      const { exporter, transport } = exporterWith([failing(true, askedMs)]);

      add(exporter, 10);
      await vi.advanceTimersByTimeAsync(250 + 500 + 1_000);

      expect(transport.sent).toHaveLength(4);
      expect(exporter.stats()).toMatchObject({ pending: 10, dropped: NO_DROPS });
    },
  );

  test("what the Collector asks for holds for every batch, also where it costs the one that was tried", async () => {
    const { exporter, transport } = exporterWith([failing(true, 400_000), ACCEPTED]);

    add(exporter, 20);
    await vi.advanceTimersByTimeAsync(399_999);
    const before = [transport.sent.length, exporter.stats()] as const;
    await vi.advanceTimersByTimeAsync(1);

    expect(before).toMatchObject([1, { accepted: 0, pending: 10, dropped: { ...NO_DROPS, gave_up: 10 } }]);
    expect(transport.sent).toHaveLength(2);
    expect(exporter.stats()).toMatchObject({ accepted: 10, pending: 0, dropped: { ...NO_DROPS, gave_up: 10 } });
  });

  test("the parts of a batch that is too large wait too", async () => {
    const large = (spans: readonly Span[]) => new Uint8Array(spans.length * 1024 * 1024);
    const { exporter, transport } = exporterWith([failing(true, 400_000), ACCEPTED], { encode: large });

    add(exporter, 6);
    await vi.advanceTimersByTimeAsync(1_000 + 399_999);
    const before = transport.sent.length;
    await vi.advanceTimersByTimeAsync(1);

    expect([before, transport.sent.length]).toEqual([1, 2]);
  });

  test("a Collector that asks for more than a timer can hold is left alone all the same", async () => {
    const { exporter, transport } = exporterWith([failing(true, 3_000_000_000), ACCEPTED]);

    add(exporter, 20);
    await vi.advanceTimersByTimeAsync(2_999_999_999);
    const before = transport.sent.length;
    await vi.advanceTimersByTimeAsync(1);

    expect([before, transport.sent.length]).toEqual([1, 2]);
  });

  test("what is refused for good is dropped at once", async () => {
    const { exporter, transport } = exporterWith([failing(false), ACCEPTED]);

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);
    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);

    expect(transport.sent).toHaveLength(2);
    expect(exporter.stats()).toMatchObject({ observed: 20, accepted: 10, dropped: { ...NO_DROPS, rejected: 10 } });
  });

  test("of a request that is taken in part, the rest is dropped and never sent again", async () => {
    const { exporter, transport } = exporterWith([rejecting(3), ACCEPTED]);

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(60_000);

    expect(transport.sent).toHaveLength(1);
    expect(exporter.stats()).toMatchObject({ accepted: 7, dropped: { ...NO_DROPS, rejected: 3 }, pending: 0 });
  });

  test("a Collector that is away for more than five minutes costs the batch that was tried", async () => {
    const { exporter } = exporterWith([failing(true)]);

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(301_000);

    expect(exporter.stats()).toMatchObject({ observed: 10, dropped: { ...NO_DROPS, gave_up: 10 }, pending: 0 });
  });

  test("while it is away the queue fills up to its limit and drops what is new", async () => {
    const { exporter } = exporterWith([failing(true)]);

    add(exporter, 123);
    await vi.advanceTimersByTimeAsync(60_000);

    expect(exporter.stats()).toMatchObject({ observed: 123, pending: 100, dropped: { ...NO_DROPS, queue_full: 23 } });
  });

  test("a batch that cannot be encoded is dropped and said, and the next one goes", async () => {
    let broken = true;
    const { exporter, said } = exporterWith([], {
      encode: (spans) => {
        if (broken) throw new Error("no bytes");
        return encode(spans);
      },
    });

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);
    broken = false;
    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);

    expect(exporter.stats()).toMatchObject({ accepted: 10, dropped: { ...NO_DROPS, rejected: 10 } });
    expect(said).toEqual(["spans could not be encoded: they are dropped"]);
  });
});

describe("names", () => {
  test("a record waits for its names while others pass, and goes when they have come", async () => {
    let known = false;
    const name = ({ connection }: Entry): Naming => (connection.pid === 0 && !known ? "pending" : namesOf());
    const { exporter, transport } = exporterWith([], { naming: () => name });

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(5_000);
    const waiting = exporter.stats();
    known = true;
    exporter.namesChanged();
    await vi.advanceTimersByTimeAsync(1_000);

    expect(waiting).toMatchObject({ accepted: 9, pending: 1, unnamed: 1 });
    expect(transport.sent.map((bytes) => [...bytes])).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9], [0]]);
  });

  test("what has no name in time is dropped for that reason", async () => {
    const name = ({ connection }: Entry): Naming => (connection.pid === 0 ? "unnamed" : namesOf());
    const { exporter } = exporterWith([], { naming: () => name });

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(0);

    expect(exporter.stats()).toMatchObject({ accepted: 9, pending: 0, dropped: { ...NO_DROPS, unnamed: 1 } });
  });
});

describe("the end", () => {
  test("sends what is left, without waiting for the delay", async () => {
    const { exporter, transport } = exporterWith();

    add(exporter, 23);
    const ended = exporter.shutdown(5_000);
    await vi.advanceTimersByTimeAsync(0);
    await ended;

    expect(transport.sent.map(({ length }) => length)).toEqual([10, 10, 3]);
    expect(exporter.stats()).toMatchObject({ accepted: 23, pending: 0, dropped: NO_DROPS });
  });

  test("cuts a back-off short, for a last try", async () => {
    const { exporter } = exporterWith([failing(true), failing(true), failing(true), failing(true), ACCEPTED]);

    add(exporter, 10);
    await vi.advanceTimersByTimeAsync(2_000);
    const ended = exporter.shutdown(5_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await ended;

    expect(exporter.stats()).toMatchObject({ accepted: 10, pending: 0, dropped: NO_DROPS });
  });

  test.each<[string, Answer]>([
    ["is away", failing(true)],
    ["never answers", "never"],
    ["asks for more time than there is", failing(true, 60_000)],
  ])("comes in time when the Collector %s, and what is left is counted", async (_, answer) => {
    const { exporter } = exporterWith([answer]);

    add(exporter, 23);
    let ended = false;
    void exporter.shutdown(5_000).then(() => {
      ended = true;
    });
    await vi.advanceTimersByTimeAsync(5_000);

    expect(ended).toBe(true);
    expect(exporter.stats()).toMatchObject({ observed: 23, pending: 0, dropped: { ...NO_DROPS, shutdown: 23 } });
  });

  test("does not wait for a Collector that asked for more time than there is, and asks it no more", async () => {
    const { exporter, transport } = exporterWith([failing(true, 400_000), ACCEPTED]);

    add(exporter, 23);
    await vi.advanceTimersByTimeAsync(2_000);
    const ended = exporter.shutdown(5_000);
    await vi.advanceTimersByTimeAsync(0);
    await ended;

    expect(transport.sent).toHaveLength(1);
    expect(exporter.stats()).toMatchObject({ pending: 0, dropped: { ...NO_DROPS, gave_up: 10, shutdown: 13 } });
  });

  test("an answer that comes after the end changes no count", async () => {
    const { exporter } = exporterWith([{ afterMs: 6_000, outcome: ACCEPTED }]);

    add(exporter, 10);
    const ended = exporter.shutdown(5_000);
    await vi.advanceTimersByTimeAsync(10_000);
    await ended;

    expect(exporter.stats()).toMatchObject({ accepted: 0, pending: 0, dropped: { ...NO_DROPS, shutdown: 10 } });
  });

  test("a record that comes after it is counted", async () => {
    const { exporter } = exporterWith();
    const ended = exporter.shutdown(5_000);
    await vi.advanceTimersByTimeAsync(0);
    await ended;

    add(exporter, 1);

    expect(exporter.stats()).toMatchObject({ observed: 1, dropped: { ...NO_DROPS, shutdown: 1 } });
  });
});

describe("whatever the Collector does", () => {
  const outcome = fc.oneof(
    fc.constant(ACCEPTED),
    fc.nat(30).map(rejecting),
    fc.constantFrom(failing(false), failing(true)),
    fc.nat(20_000).map((ms) => failing(true, ms)),
  );
  const answer: fc.Arbitrary<Answer> = fc.oneof(
    outcome,
    fc.record({ afterMs: fc.nat(20_000), outcome }),
    fc.constant("never" as const),
  );
  const step = fc.record({
    add: fc.nat(40),
    waitMs: fc.oneof(fc.nat(3_000), fc.nat(400_000)),
    naming: fc.constantFrom("named", "pending", "unnamed"),
  });

  test("observed is accepted, dropped and pending at every step, and nothing is pending after the end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { maxLength: 20 }),
        fc.array(step, { maxLength: 12 }),
        fc.record({ queue: fc.integer({ min: 1, max: 60 }), batch: fc.integer({ min: 1, max: 25 }) }),
        async (answers, steps, limits) => {
          let naming: string = "named";
          const name = (): Naming => (naming === "named" ? namesOf() : (naming as Naming));
          const { exporter } = exporterWith(answers, { naming: () => name, limits: { ...limits, delayMs: 1_000 } });
          let observed = 0;

          for (const { add: count, waitMs, naming: next } of steps) {
            naming = next;
            add(exporter, count);
            observed += count;
            await vi.advanceTimersByTimeAsync(waitMs);
            expect([balance(exporter.stats()), exporter.stats().observed]).toEqual([0, observed]);
            expect(exporter.stats().pending).toBeLessThanOrEqual(limits.queue);
          }
          const ended = exporter.shutdown(5_000);
          await vi.advanceTimersByTimeAsync(5_000);
          await ended;

          expect([balance(exporter.stats()), exporter.stats().pending]).toEqual([0, 0]);
          await vi.advanceTimersByTimeAsync(60_000);
          expect([balance(exporter.stats()), exporter.stats().pending]).toEqual([0, 0]);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("what it says it has accepted is what the agent says, to the span", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(outcome, { maxLength: 20 }),
        fc.array(fc.nat(40), { maxLength: 12 }),
        async (outcomes, counts) => {
          let taken = 0;
          const script = [...outcomes];
          const transport = new FakeTransport();
          transport.send = async (bytes) => {
            const next = script.shift() ?? ACCEPTED;
            if (next.state === "accepted") taken += bytes.length - Math.min(next.rejectedPoints, bytes.length);
            return next;
          };
          const { exporter } = exporterWith([], { transport });

          for (const count of counts) {
            add(exporter, count);
            await vi.advanceTimersByTimeAsync(2_000);
          }

          expect(exporter.stats().accepted).toBe(taken);
        },
      ),
      { numRuns: 100 },
    );
  });
});
