/**
 * `flowspan replay`: a recording through the whole pipeline again, without kernel, cluster or network.
 *
 * The output depends on the recording and the settings alone: nothing of this machine gets into it, and
 * every exchange counts as accepted unless --export really sends it.
 */

import { type Config, loadConfig, loadSchemaCheck } from "../../config/load.ts";
import type { Connection } from "../../model/connection-record.ts";
import type { Flow, HistogramForm } from "../../model/flow.ts";
import { createIdentity } from "../../naming/identify.ts";
import type { FlowExporter, RequestResult } from "../../otlp/flow-exporter.ts";
import { createTransport, type Transport } from "../../otlp/transport.ts";
import { ReplaySource } from "../../recording/recorded-source.ts";
import { type DeliverPoints, deliverBy, EvidenceStep } from "../../runtime/evidence-step.ts";
import { makeExporter } from "../../runtime/flow-export.ts";
import { makeFlowSteps } from "../../runtime/flow-steps.ts";
import { SCOPE } from "../../runtime/instrumentation-scope.ts";
import { aggregateOptions, secretsOf, spanLimits, transportOptions } from "../../runtime/options.ts";
import { runPipeline } from "../../runtime/pipeline.ts";
import { createLog, type Log } from "../../shared/log.ts";
import { hide, secretsIn } from "../../shared/scrub.ts";
import { IMMEDIATE_CLOCK } from "../../shared/ticker.ts";
import { SourceError } from "../../source/source.ts";
import type { Span } from "../../spans/span.ts";
import { END_OF_TIME, Spans } from "../../spans/spans.ts";
import type { Moment } from "../../spans/wall-clock.ts";
import { flowTemporality, histogramForm } from "../../telemetry/export-options.ts";
import { type Command, EXIT, type Flags, type Terminal } from "../command.ts";
import { flowLines, pointLine } from "./flow-lines.ts";
import { replayFindings } from "./replay-findings.ts";
import { spanLine } from "./span-lines.ts";

export const replayCommand: Command = {
  name: "replay",
  summary: "run a recording through the whole pipeline again",
  usage: "FILE [--export] [SETTINGS]",
  about: [
    "Reads what flowspan agent --record has written and prints what comes of it, points, findings and spans: one",
    "JSON object a line, OTLP's names. The same recording and settings give the same lines everywhere.",
  ].join("\n"),
  examples: [
    ["flowspan replay flowspan.rec.gz | jq -c 'select(.name == \"flowspan.tcp.retransmits\")'", "one metric"],
    ["flowspan replay flowspan.rec.gz | jq -c 'select(.eventName)'", "findings"],
    ["flowspan replay flowspan.rec.gz --export --endpoint http://localhost:4317", "to a Collector"],
  ],
  options: {
    export: { type: "boolean", summary: "Send to the Collector instead of printing." },
    host: { type: "string", placeholder: "NAME", summary: "The recorded machine's name (default: recorded)." },
  },
  settings: ["config", "endpoint", "flows", "edges", "peer-pod", "peer-address", "log-level"],
  positionals: ["FILE"],
  run: (flags, [file], terminal) => replay(file as string, flags, terminal),
};

async function replay(file: string, flags: Flags, { env, stdout }: Terminal): Promise<number> {
  const config = loadConfig({ env, flags, checkSchema: await loadSchemaCheck() });
  const { settings } = config;
  const secrets = [...secretsOf(settings), ...secretsIn(env)];
  hide(secrets);
  const log = createLog({ level: settings.logLevel === "info" ? "warn" : settings.logLevel, secrets });
  const write = (lines: string) => writeAll(stdout, lines);
  const spans = makeReplaySpans(config, log, flags.export ? undefined : write);
  const listeners = {
    connection: (connection: Connection) => spans.add(connection),
    clocks: (moment: Moment) => spans.clocks(moment),
  };
  const source = new ReplaySource({ path: file, listeners, edgesMax: config.settings.probe.edges });
  try {
    await play(source, spans, config, flags, log, write);
  } finally {
    await source.close();
  }
  return EXIT.ok;
}

/** @throws Error for all that keeps the points from being those of the whole recording */
async function play(
  source: ReplaySource,
  spans: Spans,
  config: Config,
  flags: Flags,
  log: Log,
  write: (lines: string) => Promise<void>,
): Promise<void> {
  const { settings } = config;
  const { bootNs } = await source.hello();
  const identity = createIdentity({
    hostName: typeof flags.host === "string" ? flags.host : "recorded",
    hostAddresses: ["127.0.0.1", "::1"],
    cidrs: settings.cidrs,
    kubernetes: undefined,
    startedNs: bootNs,
    bootUnixMs: 0,
  });
  spans.nameBy(identity);
  const steps = makeFlowSteps(aggregateOptions(settings), identity);

  const findings = replayFindings(config, () => identity.node(), log, flags.export ? undefined : write);
  let refused = 0;
  const onResult = ({ outcome }: RequestResult) => {
    if (outcome.state === "failed") refused++;
  };
  let failure: Error | undefined;
  const temporality = flowTemporality(settings);
  const transport = flags.export ? createTransport(transportOptions(config, "metrics")) : undefined;
  const exporter = transport
    ? makeExporter(transport, settings, log, onResult)
    : printing(write, temporality, histogramForm(settings));
  const deliver = transport ? deliverBy(transport, settings, onResult) : printingPoints(write, temporality);
  const stop = new AbortController();
  await runPipeline({
    source,
    identity,
    steps,
    exporter,
    evidence: new EvidenceStep({ settings, identity, deliver }),
    clock: IMMEDIATE_CLOCK,
    stop: stop.signal,
    log,
    listeners: {
      judge: findings.judge,
      exchanged: ({ end }) => spans.exchanged(end.bootNs),
      failed: (error) => {
        // A connection that broke when it was recorded: as live, the next exchange has its growth.
        if (error instanceof SourceError && error.code === "disconnected") return;
        failure = error as Error;
        stop.abort();
      },
    },
  });
  const unsent = await findings.end();
  spans.exchanged(END_OF_TIME);
  await spans.shutdown(SPANS_MS);
  await exporter.shutdown();
  if (failure !== undefined) throw failure;
  const unread = source.unread();
  if (unread.length > 0) {
    const counts = unread
      .map(({ name, count, at, frame }) => `${name} ${count} (first at byte ${at}, frame ${frame})`)
      .join(", ");
    throw new Error(`the recording holds what could not be read, and what came of the rest lacks it: ${counts}`);
  }
  if (refused > 0) throw new Error(`${refused} requests were not accepted`);
  const { observed, accepted, dropped } = spans.stats();
  if (unsent > 0) throw new Error(`${unsent} log records were not accepted`);
  if ((dropped.queue_full ?? 0) > 0)
    throw new Error(`of ${observed} connections only the first ${SPANS_MAX} have a span here: a replay keeps no more`);
  if (accepted < observed) throw new Error(`${observed - accepted} spans were not accepted`);
}

/** How long the spans of a recording may take to be sent. */
const SPANS_MS = 60_000;
/** They wait for the end of the recording, some 1 KiB each. */
const SPANS_MAX = 100_000;
const ALL = Number.MAX_SAFE_INTEGER;
const NEVER_MS = 2 ** 31 - 1;

/**
 * Spans of a recording: all at its end, in the order in which they were recorded.
 *
 * @param write prints them; undefined: they are sent
 */
function makeReplaySpans(config: Config, log: Log, write: ((lines: string) => Promise<void>) | undefined): Spans {
  const common = { scope: SCOPE, log, nowMs: () => 0 };
  if (write === undefined) {
    const transport = createTransport(transportOptions(config, "traces"), "traces");
    const limits = { ...spanLimits(config.settings), queue: SPANS_MAX };
    return new Spans({ ...common, transport, limits });
  }
  const transport: Transport = {
    target: "stdout",
    async send(bytes) {
      await write(Buffer.from(bytes).toString());
      return { state: "accepted", rejectedPoints: 0, message: "" };
    },
    async shutdown() {},
  };
  const encode = (spans: readonly Span[]) => Buffer.from(spans.map((span) => `${spanLine(span)}\n`).join(""));
  return new Spans({ ...common, transport, encode, limits: { queue: SPANS_MAX, batch: ALL, delayMs: NEVER_MS } });
}

/** Accepts everything, and writes it down. */
function printing(
  write: (lines: string) => Promise<void>,
  temporality: "cumulative" | "delta",
  form: HistogramForm,
): Pick<FlowExporter, "exportFlows" | "shutdown"> {
  return {
    async exportFlows(given) {
      const flows: Flow[] = [...given];
      const lines = flows.flatMap((flow) => flowLines(flow, temporality, form));
      if (lines.length > 0) await write(`${lines.join("\n")}\n`);
      const outcome = { state: "accepted", rejectedPoints: 0, message: "" } as const;
      return flows.length === 0 ? [] : [{ flows, points: lines.length, bytes: 0, durationMs: 0, outcome }];
    },
    async shutdown() {},
  };
}

/** The same for evidence. */
function printingPoints(write: (lines: string) => Promise<void>, temporality: "cumulative" | "delta"): DeliverPoints {
  return async function* (points) {
    if (points.length > 0) await write(`${points.map((point) => pointLine(point, temporality)).join("\n")}\n`);
    yield points;
  };
}

/** Resolves when there is room for more: a reader that is slow holds the replay up, not the memory. */
function writeAll(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    if (stream.write(text)) resolve();
    else stream.once("drain", resolve);
  });
}
