/**
 * What has been said of Collectors that are in trouble. Metrics, spans and the agent's own metrics mostly go to one
 * Collector and fail for one cause: whoever meets it first tells it with what to do, the others need not.
 */
export class Told {
  /** By target. */
  readonly #causes = new Map<string, Set<string>>();

  /** @returns whether nobody has told this cause since the target was last well */
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
