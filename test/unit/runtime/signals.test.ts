/** Signals by themselves, as the agent starts them: what they make, say of themselves, lose and hold back. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { loadConfig } from "../../../agent/config/load.ts";
import { ReportedCauses } from "../../../agent/otlp/reported-causes.ts";
import { MetricSignal } from "../../../agent/runtime/metric-signal.ts";
import { LiveConfig } from "../../../agent/runtime/reload.ts";
import type { Signal, SignalInputs } from "../../../agent/runtime/signal.ts";
import { SpanSignal } from "../../../agent/runtime/span-signal.ts";
import { createLog } from "../../../agent/shared/log.ts";
import { IMMEDIATE_CLOCK } from "../../../agent/shared/ticker.ts";
import { Exemplars } from "../../../agent/spans/exemplars.ts";
import { FakeIdentity } from "../series/kernel.ts";
import { exchangeOf, FakeSource } from "../source/fake-source.ts";
import { exchangeFrames } from "../source/frames-builder.ts";
import { connectionOf, OFFSET_NS, SECOND_NS } from "../spans/builders.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const NOW_NS = 102n * SECOND_NS;
const log = createLog({ level: "silent" });

/** Of an agent that sends nothing. */
function disabled(): LiveConfig {
  const sources = { env: { OTEL_SDK_DISABLED: "true" }, flags: {} };
  return new LiveConfig(loadConfig(sources), sources, log);
}

/** One exchange, then the end; knows everybody. */
class FakeInputs implements SignalInputs {
  reports = 0;
  readonly identity = Object.assign(new FakeIdentity(), { knowsCgroup: () => true });
  readonly source = Object.assign(
    new FakeSource([() => exchangeOf(exchangeFrames({ edges: [{ counters: { bytesSent: 23n } }] }))]),
    {
      reportRecords: () => {
        this.reports++;
      },
    },
  );
}

function lossesOf({ losses }: Signal): Record<string, number> {
  return Object.fromEntries(losses.map(([reason, count]) => [reason, count()]).filter(([, count]) => count !== 0));
}

test("a record is pending until its loss is in metrics that the Collector has accepted, and the probe is told", async () => {
  const inputs = new FakeInputs();
  const spans = new SpanSignal({
    live: disabled(),
    reportedCauses: new ReportedCauses(),
    exemplars: new Exemplars(),
    log,
  });
  spans.listeners.clocks({ bootNs: NOW_NS, realtimeNs: NOW_NS + OFFSET_NS });
  spans.listeners.connection(connectionOf());
  expect({ pending: spans.pendingRecords, lost: lossesOf(spans) }).toEqual({ pending: 1, lost: {} });

  await spans.start(inputs);
  await vi.advanceTimersByTimeAsync(60_000);

  expect({ pending: spans.pendingRecords, lost: lossesOf(spans) }).toEqual({ pending: 1, lost: { span_rejected: 1 } });
  expect(inputs.reports).toBeGreaterThan(0);
  spans.sending()(false);
  expect(spans.pendingRecords).toBe(1);
  spans.sending()(true);
  expect(spans.pendingRecords).toBe(0);
  await spans.stop();
});

test("metrics that are not sent are counted for top and stay in the kernel", async () => {
  const inputs = new FakeInputs();
  const { settings } = disabled();
  const metrics = new MetricSignal({
    ...{ settings, identity: inputs.identity, transport: undefined, exemplars: new Exemplars(), log },
    ...{ clock: IMMEDIATE_CLOCK, stop: new AbortController().signal, onResult: () => {}, listeners: {} },
  });

  await metrics.start(inputs);
  await metrics.stop();

  expect(metrics.stats()).toMatchObject({ edges: 1, flows: 1, pendingRows: 0, overBudget: 0 });
  expect(metrics.edges.snapshot().edges.map(({ bytesSent }) => bytesSent)).toEqual([23]);
  expect({ settled: inputs.source.settledRows, lost: lossesOf(metrics) }).toEqual({ settled: [], lost: {} });
});
