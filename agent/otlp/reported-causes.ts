/**
 * Why Collectors are in trouble, as far as the log has it. Metrics, spans and the agent's own metrics mostly go to
 * one Collector and fail for one cause. Whoever meets it first reports it with the remedy; the others need not.
 */
export class ReportedCauses {
  /** By target. */
  readonly #causes = new Map<string, Set<string>>();

  /** @returns whether nobody has reported this cause since the target was last well */
  isNews(target: string, cause: string): boolean {
    const causes = this.#causes.get(target) ?? new Set();
    this.#causes.set(target, causes);
    if (causes.has(cause)) return false;
    causes.add(cause);
    return true;
  }

  /** The target has accepted something: what troubles it next is news. */
  isWell(target: string): void {
    this.#causes.delete(target);
  }
}
