/**
 * The steps of evidence in a turn: what the kernel says of trouble → growth for findings and points; those → the Collector, and what
 * it accepted → rows to settle.
 *
 * They share the transport of flows, and send one request after the other. Nothing is tried again here: the kernel has all of it, and
 * the next exchange brings it again.
 */
import type { Settings } from "../config/settings.ts";
import { Evidence, type EvidenceExchange, type EvidenceTaken } from "../evidence/evidence-table.ts";
import type { Identity } from "../model/names.ts";
import type { NumberPoint } from "../model/point.ts";
import type { RequestResult } from "../otlp/flow-exporter.ts";
import { pointRequests } from "../otlp/point-request.ts";
import type { Transport } from "../otlp/transport.ts";
import type { SettledRow } from "../source/source.ts";
import { flowTemporality } from "../telemetry/export-options.ts";
import { SCOPE } from "./instrumentation-scope.ts";

/** More than a node has pods, reasons and peers in trouble. */
const SERIES_MAX = 10_000;
const NS_PER_MS = 1_000_000n;

/** Sends points. @returns those that were accepted */
export type DeliverPoints = (points: readonly NumberPoint[]) => AsyncIterable<readonly NumberPoint[]>;

export interface EvidenceStepOptions {
  readonly settings: Settings;
  readonly identity: Pick<Identity, "identify">;
  /** Undefined: nothing is sent, so nothing is settled. */
  readonly deliver: DeliverPoints | undefined;
}

export class EvidenceStep {
  readonly #options: EvidenceStepOptions;
  readonly #evidence: Evidence;

  constructor(options: EvidenceStepOptions) {
    const { budget, peer } = options.settings;
    this.#options = options;
    this.#evidence = new Evidence(options.identity, {
      temporality: flowTemporality(options.settings),
      idleNs: BigInt(budget.idle) * NS_PER_MS,
      limit: SERIES_MAX,
      peerAddress: peer.address,
    });
  }

  get overBudget(): number {
    return this.#evidence.overBudget;
  }

  get pendingRows(): number {
    return this.#evidence.pendingRows;
  }

  /** What has happened within the interval, also where nothing is sent, and points of it. */
  take(exchange: EvidenceExchange): EvidenceTaken {
    return this.#evidence.take(exchange);
  }

  /** @returns the rows that the Collector has accepted */
  async deliver({ points }: Pick<EvidenceTaken, "points">): Promise<readonly SettledRow[]> {
    const settled: SettledRow[] = [];
    for await (const accepted of this.#options.deliver?.(points) ?? []) {
      for (const { row } of this.#evidence.accept(accepted)) settled.push({ row, isEvidence: true });
    }
    return settled;
  }
}

/** Through the transport of flows; ends with the first request that is not accepted. */
export function deliverBy(
  transport: Pick<Transport, "send">,
  settings: Settings,
  onResult: (result: RequestResult) => void,
): DeliverPoints {
  return async function* (points) {
    for (const { bytes, points: some } of pointRequests(points, SCOPE, flowTemporality(settings))) {
      const startMs = performance.now();
      const size = bytes.length;
      const outcome = await transport.send(bytes);
      const durationMs = performance.now() - startMs;
      onResult({ flows: [], points: some.length, bytes: size, durationMs, outcome });
      if (outcome.state !== "accepted") return;
      yield some;
    }
  };
}
