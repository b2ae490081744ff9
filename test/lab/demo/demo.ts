/**
 * `make demo`: a small shop on three lab nodes, one probe and one agent per node, and a live picture made of
 * nothing but the OTLP points and log records that the agents export.
 *
 *   workloads → kernel → flowspan-probe → flowspan agent → OTLP → this receiver → the picture
 *
 * --seconds N (or SECONDS=N) ends by itself, N seconds after the first picture; --collector (or COLLECTOR=1) puts the real Collector between
 * agents and receiver. Ctrl-C and the end leave nothing behind. Where stdout is no terminal, one plain picture
 * is printed per interval.
 */
import { parseArgs } from "node:util";
import { pause } from "../../../agent/shared/pause.ts";
import { component } from "../../components/find.ts";
import { Receiver } from "../../otlp/receiver.ts";
import { startAgents } from "../agents/agents.ts";
import { shop } from "../world/describe.ts";
import { type Lab, startLab } from "../world/lab.ts";
import { startMetadata } from "../world/metadata.ts";
import { startCollector } from "./demo-collector.ts";
import { DemoFindings } from "./demo-findings.ts";
import { DemoRows } from "./demo-rows.ts";
import { pictureLines } from "./demo-table.ts";
import { startTraffic } from "./demo-traffic.ts";

const INTERVAL_MS = 1000;
const CLEAR = "\x1b[H\x1b[J";
const OTHER_SCREEN = "\x1b[?1049h\x1b[?25l";
const BACK = "\x1b[?25h\x1b[?1049l";

const { values } = parseArgs({
  options: { seconds: { type: "string" }, collector: { type: "boolean" }, help: { type: "boolean" } },
});

if (values.help) {
  console.log("usage: node test/lab/demo/demo.ts [--seconds N] [--collector]");
} else if (process.getuid?.() !== 0) {
  console.error("the demo makes net namespaces and loads BPF programs: run it as root (sudo make demo)");
  process.exitCode = 1;
} else {
  // Before anything is started: a program that is not there says here how to get it.
  const collector = values.collector || process.env.COLLECTOR === "1" ? component("otelcol") : undefined;
  const seconds = values.seconds ?? process.env.SECONDS;
  const stop = onStop();
  say("starting three nodes and ten pods …");
  const lab = await startLab(shop());
  try {
    await show(lab, collector, stop, seconds === undefined ? undefined : Number(seconds) * 1000);
  } finally {
    await lab.close();
  }
  say("everything is removed again");
  process.exit();
}

/** Aborted by Ctrl-C and SIGTERM. */
function onStop(): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.on("SIGINT", abort);
  process.on("SIGTERM", abort);
  return controller.signal;
}

/** @param forMs how long to draw; undefined: until `stop` */
async function show(
  lab: Lab,
  collectorPath: string | undefined,
  stop: AbortSignal,
  forMs: number | undefined,
): Promise<void> {
  const rows = new DemoRows();
  const findings = new DemoFindings();
  const receiver = await Receiver.start({ forget: true });
  receiver.onPoints((points) => rows.add(points));
  receiver.onLogs((logs) => findings.add(logs));
  const { api, kubeconfig } = await startMetadata(lab);
  const collector =
    collectorPath === undefined ? undefined : await startCollector(lab, collectorPath, receiver.endpoint);
  const endpoint = collector?.endpoint ?? receiver.endpoint;
  say("starting a probe and an agent on each …");
  const agents = await startAgents(lab, { endpoint, kubeconfig, intervalMs: INTERVAL_MS });
  await startTraffic(lab);
  const via = collector === undefined ? "embedded receiver" : "OpenTelemetry Collector";
  const end = forMs === undefined ? stop : AbortSignal.any([stop, AbortSignal.timeout(forMs)]);
  try {
    await draw({ rows, findings, via }, end, () => {
      const ended = agents.flatMap(({ agent, probe }) => [agent, probe]).find((process) => !process.isRunning);
      if (ended) throw new Error(`ended by itself: ${ended.describe()}`);
    });
  } finally {
    await Promise.all(agents.map((agent) => agent.stop()));
    await collector?.process.stop();
    await receiver.close();
    await api.stop();
  }
}

/** What has come, and which way. */
interface Seen {
  readonly rows: DemoRows;
  readonly findings: DemoFindings;
  readonly via: string;
}

/** Draws once an interval until told to stop. @param check throws when the demo cannot go on */
async function draw({ rows, findings, via }: Seen, stop: AbortSignal, check: () => void): Promise<void> {
  const { stdout } = process;
  const started = performance.now();
  const restore = () => stdout.isTTY && stdout.write(BACK);
  if (stdout.isTTY) stdout.write(OTHER_SCREEN);
  process.on("exit", restore);
  try {
    while (!stop.aborted) {
      check();
      const nowMs = performance.now();
      const paper = stdout.isTTY
        ? { columns: stdout.columns, lines: stdout.rows - 1, colour: !process.env.NO_COLOR }
        : { columns: 200, lines: 100, colour: false };
      const headline = `flowspan demo, ${Math.round((nowMs - started) / 1000)} s: ${rows.nodes} nodes, ${rows.points} points by OTLP (${via}), ${rows.losses}; Ctrl-C ends it`;
      const lines = pictureLines({ headline, rows: rows.rows(nowMs), findings: findings.rows() }, paper);
      stdout.write(stdout.isTTY ? CLEAR + lines.join("\n") : `${lines.join("\n")}\n\n`);
      await pause(INTERVAL_MS, stop);
    }
  } finally {
    process.off("exit", restore);
    restore();
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
