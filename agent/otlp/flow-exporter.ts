/**
 * Flows in, the Collector's answers out: encodes requests one by one and sends a few at once.
 *
 * A request is encoded only when there is room to send it, so memory is bounded by what is in flight,
 * not by how many flows there are. Nothing is queued and nothing is tried again here: what was not
 * accepted stays in the kernel and is part of the next exchange's growth. Every outcome goes to `onResult`,
 * which counts (agent/telemetry/agent-state.ts); failures are logged once per change of state.
 */

import type { ExportOutcome } from "../model/export-outcome.ts";
import type { Flow } from "../model/flow.ts";
import type { Logger } from "../shared/logger.ts";
import type { EncodedRequest, FlowEncoder } from "./encode.ts";
import { OutcomeLog } from "./outcome-log.ts";
import type { Transport } from "./transport.ts";
import { release } from "./wire.ts";

/** What became of one request and of the flows in it. Every flow is in exactly one result. */
export interface RequestResult {
  readonly flows: readonly Flow[];
  readonly points: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly outcome: ExportOutcome;
}

export interface FlowExporter {
  /**
   * Sends all points of these flows and resolves when every request has its outcome. One call at a time.
   *
   * After a retryable failure the flows that are left are not encoded: one last result holds them and
   * says NOT_SENT. So a Collector that hangs costs one timeout and not one a request.
   */
  exportFlows(flows: Iterable<Flow>): Promise<readonly RequestResult[]>;
  /** Milliseconds for which the Collector asked to be left alone (RetryInfo); 0: send. */
  holdMs(): number;
  /** Waits for what is in flight, at most the transport's timeout. */
  shutdown(): Promise<void>;
}

export interface FlowExporterOptions {
  readonly encoder: Pick<FlowEncoder, "encode">;
  readonly transport: Transport;
  readonly log: Logger;
  /** Requests in flight at once. */
  readonly concurrency?: number;
  /** Called for every request that was sent, as soon as it has its outcome. */
  readonly onResult?: (result: RequestResult) => void;
  /** Milliseconds on a clock that only moves forward. */
  readonly nowMs?: () => number;
}

const WORDS = {
  failed: "export failed: growth stays in the kernel",
  worksAgain: "export works again",
  inPart: "the Collector accepted a request in part",
};

/** The reason in the result of flows that were kept back. */
export const NOT_SENT = "not_sent";

export function createFlowExporter(options: FlowExporterOptions): FlowExporter {
  return new BoundedExporter(options);
}

class BoundedExporter implements FlowExporter {
  readonly #options: FlowExporterOptions;
  readonly #concurrency: number;
  readonly #nowMs: () => number;
  #holdUntilMs = 0;
  readonly #outcomes: OutcomeLog;

  constructor(options: FlowExporterOptions) {
    this.#options = options;
    this.#outcomes = new OutcomeLog(options.log, options.transport, WORDS);
    this.#concurrency = options.concurrency ?? 2;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  holdMs(): number {
    return Math.max(0, this.#holdUntilMs - this.#nowMs());
  }

  async exportFlows(flows: Iterable<Flow>): Promise<readonly RequestResult[]> {
    const all = [...flows];
    const requests = this.#options.encoder.encode(all);
    const results: RequestResult[] = [];
    let stop = this.holdMs() > 0;

    const sendInTurn = async () => {
      while (!stop) {
        const next = requests.next();
        if (next.done) return;
        const result = await this.#send(next.value);
        results.push(result);
        if (result.outcome.state === "failed" && result.outcome.retryable) stop = true;
      }
    };
    await Promise.all(Array.from({ length: this.#concurrency }, sendInTurn));

    if (stop) results.push(...keptBack(all, results));
    return results;
  }

  shutdown(): Promise<void> {
    return this.#options.transport.shutdown();
  }

  async #send(request: EncodedRequest): Promise<RequestResult> {
    const startMs = this.#nowMs();
    const bytes = request.bytes.length;
    const outcome = await this.#options.transport.send(request.bytes);
    release(request.bytes);
    const result: RequestResult = {
      flows: request.flows,
      points: request.points,
      bytes,
      durationMs: this.#nowMs() - startMs,
      outcome,
    };
    if (outcome.state === "failed" && outcome.retryAfterMs !== undefined) {
      this.#holdUntilMs = Math.max(this.#holdUntilMs, this.#nowMs() + outcome.retryAfterMs);
    }
    this.#outcomes.take(outcome, (rejectedPoints) => ({ points: request.points, rejectedPoints }));
    this.#options.onResult?.(result);
    return result;
  }
}

/** The result of what was not sent, if there is any. */
function keptBack(all: readonly Flow[], sent: readonly RequestResult[]): RequestResult[] {
  const left = new Set(all);
  for (const { flows } of sent) for (const flow of flows) left.delete(flow);
  if (left.size === 0) return [];
  const outcome: ExportOutcome = { state: "failed", reason: NOT_SENT, retryable: true, retryAfterMs: undefined };
  return [{ flows: [...left], points: 0, bytes: 0, durationMs: 0, outcome }];
}
