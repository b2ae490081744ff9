/** Recordings that tests write by hand, and what a replay says of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import type { EdgeGrowth } from "../../../agent/model/edge.ts";
import { Recorder } from "../../../agent/recording/recorder.ts";
import type { ErrorLogger } from "../../../agent/shared/logger.ts";
import { EXCHANGE_COMMAND, FLUSH_COMMAND } from "../../../agent/source/commands.ts";
import { type Frame, packFrames } from "../../../agent/source/frames.ts";
import { type ExchangeData, type ProbeSource, SourceError } from "../../../agent/source/source.ts";
import { type EdgeValues, edgeRow, exchangeFrames, helloFrame, said as rowSaid } from "../source/frames-builder.ts";

let directory: string;
/** What recorders of this test have logged. */
export const logged: string[] = [];
export const log: ErrorLogger = {
  info: () => {},
  warn: (_, message) => logged.push(message),
  error: (_, message) => logged.push(message),
};

/** Each test of the file has a directory and a log of its own. */
export function useRecordings(): void {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "flowspan-record-"));
    logged.length = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
}

export function path(name = "recording"): string {
  return join(directory, name);
}

export function edges(...bytes: readonly number[]): EdgeValues[] {
  return bytes.map((bytesSent, index) => ({ key: { serverPort: 80 + index }, counters: { bytesSent } }));
}

/** Writes a recording by hand: the agent asks and answers as a test says. */
export async function record(name: string, play: (recorder: Recorder) => void, end = true): Promise<string> {
  const recorder = new Recorder({ path: path(name), log, nowUnixNs: () => 23n });
  play(recorder);
  if (end) await recorder.close();
  return path(name);
}

export function fromProbe(recorder: Recorder, ...frames: readonly Frame[]): void {
  recorder.fromProbe(packFrames(frames));
}

export function sendHello(recorder: Recorder): void {
  recorder.connected();
  fromProbe(recorder, helloFrame());
}

export function recordedExchange(
  recorder: Recorder,
  exchange: bigint,
  settles: boolean,
  ...bytes: readonly number[]
): void {
  recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
  fromProbe(recorder, ...exchangeFrames({ exchange, edges: edges(...bytes) }));
  const rows = edges(...bytes).map((edge) => ({
    kind: FrameKind.COMMAND_SETTLE,
    payload: edgeRow({ exchange, ...edge }),
  }));
  if (settles) recorder.toProbe(packFrames([...rows, FLUSH_COMMAND]));
}

/** All exchanges of a source, and the error it ended with. */
export async function playAll(source: ProbeSource, settles: boolean) {
  const exchanges: ExchangeData[] = [];
  const errors: SourceError[] = [];
  for (;;) {
    try {
      const exchange = await source.exchange();
      if (exchange === undefined) return { exchanges, errors };
      exchanges.push(exchange);
      if (settles) source.settle(exchange.rows);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      errors.push(error);
    }
  }
}

export function bytesOf(rows: readonly EdgeGrowth[]): (number | undefined)[] {
  return rows.map((row) => row.counters[0]);
}

/** All that an exchange says, as a value to compare. */
export function whole({ free, rows, ...rest }: ExchangeData) {
  return { ...rest, rows: rows.map(rowSaid) };
}

export function said(exchanges: readonly ExchangeData[]) {
  return exchanges.map((exchange) => ({ exchange: exchange.begin.exchange, bytes: bytesOf(exchange.rows) }));
}
