/**
 * The evidence of one interval → what holds of it: what has a known cause is that cause's. Losses are judged last, since their place
 * is sought among those that no cause accounts for. Pure but for its own state.
 */
import type { FindingName } from "../generated/findings.ts";
import { detect, FINDING_NAMES, type Judged } from "./detect.ts";
import type { Evidence, FindingLimits, Path } from "./evidence.ts";
import { Explanations } from "./explanations.ts";
import { withoutEdges } from "./paths.ts";

/** A loss of a tenth of a percent needs the segments of a minute on a quiet node. */
export const PATH_INTERVALS = 4;
const OF_PATHS: readonly FindingName[] = ["retransmits"];
const OTHERS = FINDING_NAMES.filter((name) => !OF_PATHS.includes(name));

export class Judge {
  readonly #explanations = new Explanations();
  /** Of the last interval and those right before it, the newest first. */
  #paths: readonly (readonly Path[])[] = [];

  /**
   * @param evidence of which the paths are this interval's alone
   * @param bootNs its end
   * @returns in the registry's order
   */
  judge(evidence: Evidence, limits: FindingLimits, bootNs: bigint): Judged[] {
    const others = this.#explanations.observe(detect(OTHERS, evidence, limits), limits, bootNs);
    const [now = []] = evidence.paths;
    this.#keep(this.#explanations.withoutExplained(now, bootNs));
    const losses = detect(OF_PATHS, { ...evidence, paths: this.#paths }, limits);
    const byName = Map.groupBy([...others, ...losses], ({ finding }) => finding);
    return FINDING_NAMES.flatMap((name) => byName.get(name) ?? []);
  }

  /** Takes an interval that nobody judges. */
  skip(): void {
    this.#paths = [];
  }

  /** Two intervals in a row without losses end what is judged together: little traffic loses nothing in some. */
  #keep(paths: readonly Path[]): void {
    const before = this.#paths.map((each) => each.map(withoutEdges));
    const isLossy = [paths, ...before.slice(0, 1)].some((each) => each.some(({ lost }) => lost > 0));
    this.#paths = isLossy ? [paths, ...before].slice(0, PATH_INTERVALS) : [];
  }
}
