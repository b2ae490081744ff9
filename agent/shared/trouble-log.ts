/** A state that is judged again and again → one line when trouble begins or changes, one when it is over. */
import type { Log } from "./log.ts";

export class TroubleLog {
  readonly #log: Pick<Log, "warn" | "info">;
  readonly #over: string;
  #reported: string | undefined;

  /** @param over what is logged when it is over */
  constructor(log: Pick<Log, "warn" | "info">, over: string) {
    this.#log = log;
    this.#over = over;
  }

  tell(trouble: string | undefined): void {
    if (trouble === this.#reported) return;
    if (trouble !== undefined) this.#log.warn({}, trouble);
    else this.#log.info({ afterTrouble: this.#reported }, this.#over);
    this.#reported = trouble;
  }
}
