/**
 * What the agent knows about itself, its probe and its exports, between two collections of its metrics.
 *
 * The pipeline tells it what happened; agent-metrics.ts and the status output read it. Counters of the probe
 * begin anew with its process; what is read here only grows.
 */

import type { StartedFindings } from "../model/active-finding.ts";
import type { LogStats } from "../model/log-record.ts";
import type { MetadataReading } from "../model/metadata.ts";
import type { Exchange, ProbeStatus, ProgramStats } from "../model/probe-event.ts";
import type { SocketStorage } from "../model/probe-memory.ts";
import type { RequestResult } from "../otlp/flow-exporter.ts";
import type { SpanStats } from "../spans/queue.ts";
import type { Losses } from "./losses.ts";

/** The part of an exchange that says what it cost; a source's ExchangeData fits. */
export interface ExchangeReport {
  readonly status: ProbeStatus;
  readonly programs: readonly ProgramStats[];
  readonly end: Exchange;
}

export interface ExportSums {
  requests: number;
  points: number;
}

/** What share of one namespace's own counters sockets account for; undefined while that is unknown. */
export interface CoverageReading {
  readonly netns: number;
  readonly segments: number | undefined;
  readonly connections: number | undefined;
}

/** Called with each duration as it is measured, in seconds. */
export interface DurationListeners {
  exchange(seconds: number): void;
  walk(seconds: number): void;
  /** @param reason of failure; "" for an accepted request */
  request(seconds: number, reason: string): void;
}

export class SelfState {
  readonly losses: Losses;
  /** By reason of failure; "" is accepted. */
  readonly exports = new Map<string, ExportSums>();
  exportedBytes = 0;
  rejectedPoints = 0;
  status: ProbeStatus | undefined;
  walkSockets: number | undefined;
  durations: DurationListeners | undefined;
  /** Read at each collection; set once by whoever compares sockets with the kernel's own counters. */
  coverage: () => readonly CoverageReading[] = () => [];
  /** Read at each collection: what the probe says to be wrong with what it stands on. */
  probeTroubles: () => readonly string[] = () => [];
  /** Read at each collection: where the probe keeps what it knows of sockets. */
  socketStorage: () => SocketStorage = () => "in the socket";
  /** Read at each collection; undefined while no spans are made. */
  spans: () => SpanStats | undefined = () => undefined;
  /** Read at each collection; undefined while no log records are made. */
  logs: () => LogStats | undefined = () => undefined;
  /** Read at each collection: findings that have started, by name. */
  findings: () => readonly StartedFindings[] = () => [];
  /** Where names come from: read at each collection and by health; set once by whoever watches. */
  metadata: () => readonly MetadataReading[] = () => [];
  /** Read at each collection: milliseconds since the last whole exchange, or since the start; set once by whoever keeps time. */
  exchangeAgeMs: () => number | undefined = () => undefined;
  /** Read at each collection: connections to the health port that were closed without an answer, by reason. */
  adminRefusals: () => Readonly<Record<string, number>> = () => ({});

  readonly #probeCpuUs = new GrowingSum();
  readonly #programs = new Map<string, { runs: GrowingSum; runTimeNs: GrowingSum; recursionMisses: GrowingSum }>();

  constructor(losses: Losses) {
    this.losses = losses;
  }

  /**
   * Takes in an exchange that is over.
   *
   * @param seconds from asking for it to having settled it
   */
  addExchange({ status, programs, end }: ExchangeReport, seconds: number): void {
    this.status = status;
    this.walkSockets = end.sockets;
    this.#probeCpuUs.take(status.probeCpuUs);
    for (const program of programs) this.#addProgram(program);
    this.durations?.walk(Number(end.walkNs) / 1e9);
    this.durations?.exchange(seconds);
  }

  /** Takes in a request that was answered or gave up: `onResult` of the exporter. */
  addRequest({ outcome, points, bytes, durationMs }: RequestResult): void {
    const reason = outcome.state === "accepted" ? "" : outcome.reason;
    let sums = this.exports.get(reason);
    if (sums === undefined) {
      sums = { requests: 0, points: 0 };
      this.exports.set(reason, sums);
    }
    sums.requests++;
    sums.points += points;
    this.exportedBytes += bytes;
    if (outcome.state === "accepted") {
      this.rejectedPoints += outcome.rejectedPoints;
      this.losses.lose("points_rejected", outcome.rejectedPoints);
    }
    this.durations?.request(durationMs / 1000, reason);
  }

  /** Every loss by name: the kernel's and the probe's since the maps were made, the agent's since its start. */
  allLosses(): Readonly<Record<string, number>> {
    return { ...this.status?.losses, ...this.losses.read() };
  }

  probeCpuSeconds(): number {
    return this.#probeCpuUs.sum / 1e6;
  }

  programs(): readonly ProgramStats[] {
    return [...this.#programs].map(([name, { runs, runTimeNs, recursionMisses }]) => ({
      name,
      runs: runs.sum,
      runTimeNs: runTimeNs.sum,
      recursionMisses: recursionMisses.sum,
    }));
  }

  #addProgram({ name, runs, runTimeNs, recursionMisses }: ProgramStats): void {
    let sums = this.#programs.get(name);
    if (sums === undefined) {
      sums = { runs: new GrowingSum(), runTimeNs: new GrowingSum(), recursionMisses: new GrowingSum() };
      this.#programs.set(name, sums);
    }
    sums.runs.take(runs);
    sums.runTimeNs.take(runTimeNs);
    sums.recursionMisses.take(recursionMisses);
  }
}

/** Readings of a counter that may begin anew, as a sum that does not. */
class GrowingSum {
  sum = 0;
  #last = 0;

  take(reading: number): void {
    this.sum += reading >= this.#last ? reading - this.#last : reading;
    this.#last = reading;
  }
}
