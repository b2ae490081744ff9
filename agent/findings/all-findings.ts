/**
 * From what one exchange has brought to the log records of findings that start or end with it:
 *
 *   edges with names, namespaces' counters, ─► evidence ─► detect-*.ts, explanations ─► tracker ─► log records
 *   drops, neighbours
 *
 * Pure but for its own state. Nothing here holds the metrics up.
 */
import type { Growth } from "../edges/edge-table.ts";
import { FINDINGS } from "../generated/findings.ts";
import type { ActiveFinding, FindingSnapshot, StartedFindings } from "../model/active-finding.ts";
import type { LogRecord } from "../model/log-record.ts";
import type { LocalEnd } from "../model/names.ts";
import { recordOf, snapshotOfFinding } from "./event-record.ts";
import type { FindingLimits } from "./evidence.ts";
import { type Brought, EvidenceReader } from "./evidence-of.ts";
import { Judge } from "./judge.ts";
import { FindingTracker, type TrackerLimits } from "./tracker.ts";

/** The settings `findings.*` fit. */
export type FindingOptions = FindingLimits & {
  /** False: nothing is judged. */
  readonly enabled: boolean;
  readonly limit: number;
  /** Starts in a minute. */
  readonly rate: number;
};

export class Findings {
  readonly #options: () => FindingOptions;
  readonly #node: () => LocalEnd;
  readonly #reader = new EvidenceReader();
  readonly #judge = new Judge();
  readonly #tracker: FindingTracker;
  #timeUnixNs = 0n;

  /**
   * @param options read at each exchange
   * @param node what findings of the node, and of namespaces without a known owner, are about
   */
  constructor(options: () => FindingOptions, node: () => LocalEnd) {
    this.#options = options;
    this.#node = node;
    this.#tracker = new FindingTracker((): TrackerLimits => {
      const { limit, rate } = this.#options();
      return { limit, ratePerMinute: rate };
    });
  }

  /** Takes one exchange, after its edges have got names. @returns findings that start or end with it */
  observe(growth: Growth, brought: Brought): LogRecord[] {
    this.#timeUnixNs = growth.clock.timeUnixNs;
    const options = this.#options();
    const evidence = this.#reader.read(growth, brought, this.#node, options.partition.lossy);
    if (evidence === undefined) return [];
    const judged = options.enabled ? this.#judge.judge(evidence, options, growth.clock.bootNs) : [];
    if (!options.enabled) this.#judge.skip();
    return this.#tracker.observe(judged, growth.clock).map((event) => recordOf(event, options));
  }

  /** Ends what is active, as of the last exchange. */
  end(): LogRecord[] {
    const options = this.#options();
    return this.#tracker.end(this.#timeUnixNs).map((event) => recordOf(event, options));
  }

  active(): ActiveFinding[] {
    return this.#tracker.active();
  }

  snapshot(): FindingSnapshot[] {
    return this.active().map(snapshotOfFinding);
  }

  started(): StartedFindings[] {
    return Array.from(this.#tracker.started(), ([name, count]) => ({ name, severity: FINDINGS[name].severity, count }));
  }

  /** Findings of which nothing was told. */
  get leftOut(): number {
    return this.#tracker.leftOut;
  }
}
