/** What `top` shows of edges: totals, rates of the last interval, quantiles. */
import { expect, test } from "vitest";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { FakeIdentity, FakeKernel, INTERVAL_NS, keyOf } from "../series/kernel.ts";
import { Stepping } from "../series/stepping.ts";
import { NONE_FAILED } from "./snapshots.ts";

const CART = "client 10.0.0.1>10.0.0.2:80";

test("a snapshot tells totals once however often growth was repeated, rates of the last interval, and quantiles", () => {
  const kernel = new FakeKernel();
  const steps = new Stepping(DEFAULT_AGGREGATE_OPTIONS, new FakeIdentity(), keyOf);
  const exchange = () => steps.take(kernel.exchange());
  kernel.grow(CART, { bytesSent: 23, opened: 1, retransmitsTlp: 2, failedRefused: 3 }, { 112: 9, [112 + 40]: 1 });
  exchange();
  kernel.grow(CART, { bytesSent: 30 });
  kernel.open(CART, 4);
  exchange();

  const { edges, intervalMs } = steps.snapshot();

  expect(edges).toEqual([
    {
      role: "client",
      overflow: false,
      local: { label: "10.0.0.1", address: "10.0.0.1", cgroup: "8" },
      remote: {
        label: "shop/10.0.0.2",
        address: "10.0.0.2",
        kind: "pod",
        name: "10.0.0.2",
        namespace: "shop",
        pod: null,
      },
      serverPort: 80,
      netns: 4026531840,
      pending: null,
      bytesSent: 53,
      bytesReceived: 0,
      segmentsSent: 0,
      segmentsReceived: 0,
      retransmits: { syn: 0, fast: 0, timeout: 0, tailLossProbe: 2, nonCongestion: 0, other: 0, spurious: 0 },
      outOfOrder: 0,
      opened: 1,
      closed: 0,
      failed: { ...NONE_FAILED, refused: 3 },
      resets: { sent: 0, received: 0 },
      open: 4,
      limit: 0,
      drops: 0,
      rates: { bytesSentPerSecond: (30 * 1000) / intervalMs, bytesReceivedPerSecond: 0, openedPerSecond: 0 },
      rtt: { p50Us: 2 ** (0.5 / 4), p99Us: 2 ** (40.5 / 4) },
      handshake: { p50Us: null, p99Us: null },
    },
  ]);
  expect(Math.round(intervalMs)).toBe(Number(INTERVAL_NS / 1_000_000n));
});
