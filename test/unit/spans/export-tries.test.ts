import { describe, expect, test, vi } from "vitest";
import type { Span } from "../../../agent/spans/span.ts";
import { add, encode, exporterWith, NO_DROPS, useFakeTimers } from "./exporting.ts";
import { ACCEPTED, failing, rejecting } from "./fake-transport.ts";

useFakeTimers();

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
