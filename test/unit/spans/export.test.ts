import { describe, expect, test, vi } from "vitest";
import type { Entry, Naming } from "../../../agent/spans/queue.ts";
import type { Span } from "../../../agent/spans/span.ts";
import { namesOf } from "./builders.ts";
import { add, exporterWith, NO_DROPS, useFakeTimers } from "./exporting.ts";
import { ACCEPTED, type Answer, failing } from "./fake-transport.ts";

useFakeTimers();

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
