/** The signal of findings by itself, as the agent starts it: what it hears, says of itself, loses and ends. */
import { expect, test } from "vitest";
import { loadConfig } from "../../../agent/config/load.ts";
import { ReportedCauses } from "../../../agent/otlp/reported-causes.ts";
import { FindingSignal } from "../../../agent/runtime/finding-signal.ts";
import { makeFlowSteps } from "../../../agent/runtime/flow-steps.ts";
import { LiveConfig } from "../../../agent/runtime/reload.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { createLog } from "../../../agent/shared/log.ts";
import { Receiver } from "../../otlp/receiver.ts";
import { endOf } from "../findings/judged.ts";
import { FakeIdentity, FakeKernel, keyOf } from "../series/kernel.ts";
import { FakeTransport } from "../spans/fake-transport.ts";

const CLIENT = "client cart>10.0.0.2:80";
const log = createLog({ level: "silent" });

function liveOf(env: Record<string, string>): LiveConfig {
  const sources = { env, flags: {} };
  return new LiveConfig(loadConfig(sources), sources, log);
}

/** Plays growth of one edge an interval into the signal. */
function signalWith(env: Record<string, string>, metrics = new FakeTransport()) {
  const node = () => endOf("node-1");
  const signal = new FindingSignal({ live: liveOf(env), reportedCauses: new ReportedCauses(), metrics, node, log });
  const kernel = new FakeKernel();
  const { edges, naming } = makeFlowSteps(DEFAULT_AGGREGATE_OPTIONS, new FakeIdentity(), undefined, keyOf);
  const play = (failedRefused: number) => {
    if (failedRefused > 0) kernel.grow(CLIENT, { failedRefused });
    const exchange = kernel.exchange();
    const evidence = { rows: [], totals: [], neighbourTables: [] };
    signal.judge(naming.name(edges.observe(exchange)), { ...exchange, evidence }, []);
  };
  play(0);
  return { signal, metrics, play };
}

test("a finding's start and its end at the agent's own end reach a Collector, as the registry has them", async () => {
  const receiver = await Receiver.start();
  const { signal, metrics, play } = signalWith({ OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: receiver.endpoint });

  play(23);
  const active = signal.snapshot();
  await signal.stop();

  expect(active).toMatchObject([{ name: "connect_refused", severity: "error", evidence: { "server.port": 80 } }]);
  expect(receiver.logs.map(({ eventName, attributes }) => [eventName, attributes["flowspan.finding.state"]])).toEqual([
    ["flowspan.finding.connect_refused", "start"],
    ["flowspan.finding.connect_refused", "end"],
  ]);
  expect(receiver.logs[1]?.attributes["flowspan.finding.ended_by"]).toBe("shutdown");
  expect(signal.logs).toMatchObject({ observed: 2, accepted: 2, pending: 0 });
  // Active, and then not any more.
  expect(metrics.sent).toHaveLength(2);
  expect(signal.started()).toEqual([{ name: "connect_refused", severity: "error", count: 1 }]);
  await receiver.close();
});

test("where no log record is exported, the metric is sent all the same and nothing is lost", async () => {
  const { signal, metrics, play } = signalWith({ OTEL_LOGS_EXPORTER: "none" });

  play(23);
  await signal.stop();

  expect(signal.logs).toBeUndefined();
  expect(metrics.sent).toHaveLength(2);
  expect(signal.losses.map(([, count]) => count())).toEqual([0, 0, 0, 0, 0]);
});
