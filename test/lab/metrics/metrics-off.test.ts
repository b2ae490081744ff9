/**
 * OTEL_METRICS_EXPORTER=none: spans are sent and metrics are not, and what the kernel has counted meanwhile comes
 * with the first agent that exports.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { ATTR_FLOWSPAN_ROLE } from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { seriesTotals } from "../../otlp/oracle.ts";
import { Receiver } from "../../otlp/receiver.ts";
import { type AgentSetup, NodeAgent } from "../agents/agents.ts";
import { endSum } from "../agents/observed.ts";
import { recording } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";
import { twoPods } from "../world/describe.ts";
import { type Lab, startLab } from "../world/lab.ts";

const PORT = 8080;
const CONNECTIONS = 23;
const BYTES = { upload: 1009, download: 60_013 };

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const undo: (() => unknown)[] = [];
let lab: Lab;
let receiver: Receiver;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(twoPods());
  undo.push(() => lab.close());
  receiver = await Receiver.start();
  undo.push(() => receiver.close());
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

const client = () => endSum(seriesTotals(receiver.points), { [ATTR_FLOWSPAN_ROLE]: "client" });

test("without an exporter of metrics spans come and metrics wait in the kernel, whole, for an agent that has one", async () => {
  const setup: AgentSetup = { endpoint: receiver.endpoint, intervalMs: 300 };
  const env = { OTEL_METRICS_EXPORTER: "none", OTEL_TRACES_SAMPLER: "always_on", OTEL_BSP_SCHEDULE_DELAY: "100" };
  const silent = new NodeAgent(lab, "node-1", { ...setup, env });
  undo.push(() => silent.stop());
  await silent.startProbe();
  await silent.startAgent();
  await recording([silent]);
  await lab.pod("server").serve({ listen: [{ address: "0.0.0.0", port: PORT }] });

  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];
  await lab.pod("client").play("send", { to, count: CONNECTIONS, ...BYTES });
  await eventually("a span of each connection", () => receiver.spans.length >= CONNECTIONS);
  await silent.agent.stop();
  const before = receiver.arrivals.map(({ signal }) => signal);
  const exporting = new NodeAgent(lab, "node-1", setup);
  undo.push(() => exporting.stop());
  await exporting.startAgent();
  await eventually(
    () => `all connections: ${JSON.stringify(client())}`,
    () => client().closed === CONNECTIONS,
  );

  expect([...new Set(before)]).toEqual(["traces"]);
  expect(receiver.spans.length).toBe(CONNECTIONS);
  expect(client()).toMatchObject({
    opened: CONNECTIONS,
    closed: CONNECTIONS,
    bytesSent: CONNECTIONS * BYTES.upload,
    bytesReceived: CONNECTIONS * BYTES.download,
  });
});
