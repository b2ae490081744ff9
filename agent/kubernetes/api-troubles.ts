/**
 * What befalls the watches of one cluster → one line in the log for each trouble, and one when it is over.
 *
 * A server that is away is one trouble for all watches. A refusal of one resource is that resource's. A watch has
 * the trouble of its last failure until it is current again.
 */
import type { Logger } from "../shared/logger.ts";
import type { ApiFailure, FailureReason } from "./failure.ts";

export interface Trouble {
  /** The feed that met it. */
  readonly watch: string;
  /** As RBAC calls it: two feeds may read the same. */
  readonly resource: string;
  readonly failure: ApiFailure;
  /** Failures since the feed was last well, this one included. */
  readonly inRow: number;
}

/** What a server says of the one request. */
const OF_A_RESOURCE: ReadonlySet<FailureReason> = new Set(["forbidden", "rejected", "malformed", "gone"]);

export class ApiTroubles {
  readonly #log: Logger;
  /** What has been logged and is not over: its words. */
  readonly #logged = new Map<string, string>();
  /** The trouble of each watch that is not current. */
  readonly #of = new Map<string, string>();
  #loggedNoWatchList = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  failed({ watch, resource, failure, inRow }: Trouble): void {
    const { reason, message: detail, remedy, words } = failure;
    const isOwn = OF_A_RESOURCE.has(reason);
    const trouble = isOwn ? `${reason} ${resource}` : reason;
    this.#of.set(watch, trouble);
    // Connections break; the next one mostly comes at once, and goes on where this one ended.
    if (this.#logged.has(trouble) || (reason === "closed" && inRow === 1)) return;
    this.#logged.set(trouble, `${reason}: ${words}`);
    const fields = { ...(isOwn && { watch }), reason, detail, ...(remedy !== undefined && { remedy }) };
    this.#log.warn(fields, "lost the API server: it is tried until it is back, names may be old");
  }

  current(watch: string): void {
    if (!this.#of.delete(watch)) return;
    const left = new Set(this.#of.values());
    const over = [...this.#logged].filter(([trouble]) => !left.has(trouble));
    if (over.length === 0) return;
    for (const [trouble] of over) this.#logged.delete(trouble);
    const message = left.size === 0 ? "names are current again" : "a trouble with the API server is over";
    this.#log.info({ over: over.map(([, words]) => words) }, message);
  }

  noWatchList(detail: string): void {
    if (this.#loggedNoWatchList) return;
    this.#loggedNoWatchList = true;
    this.#log.info({ detail }, "the API server has no watch-list; listing instead");
  }
}
