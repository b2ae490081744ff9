/**
 * What two nodes' agents find while a test makes its trouble: starts and ends as log records at a real OTLP receiver, each
 * held against the registry there.
 */
import type { FindingName } from "../../../agent/generated/findings.ts";
import { FINDINGS } from "../../../agent/generated/findings.ts";
import { ATTR_FLOWSPAN_FINDING_ID, ATTR_FLOWSPAN_FINDING_STATE } from "../../../agent/generated/semconv.ts";
import type { ReceivedLog } from "../../otlp/logs.ts";
import { eventually } from "../programs/process.ts";
import type { ObservedLab } from "./observed.ts";

const DEADLINE_MS = 60_000;

export class FindingWatch {
  readonly #observed: ObservedLab;
  readonly #from: number;

  /** From now on. */
  constructor(observed: ObservedLab) {
    this.#observed = observed;
    this.#from = observed.receiver.logs.length;
  }

  get logs(): readonly ReceivedLog[] {
    return this.#observed.receiver.logs.slice(this.#from);
  }

  /** Names of all that was found, each once. */
  get names(): string[] {
    return [...new Set(this.logs.map(({ eventName }) => eventName.replace("flowspan.finding.", "")))].sort();
  }

  starts(name: FindingName): ReceivedLog[] {
    return this.#of(name, "start");
  }

  ends(name: FindingName): ReceivedLog[] {
    return this.#of(name, "end");
  }

  /** Of an attribute, over all ends. */
  sum(name: FindingName, attribute: string): number {
    return this.ends(name).reduce((all, { attributes }) => all + Number(attributes[attribute] ?? 0), 0);
  }

  async started(name: FindingName): Promise<void> {
    await this.until(`a start of ${name}`, () => this.starts(name).length > 0);
  }

  /** Until something has started and each start has its end. */
  async over(): Promise<void> {
    const ids = (state: string) =>
      this.logs
        .filter(({ attributes }) => attributes[ATTR_FLOWSPAN_FINDING_STATE] === state)
        .map(({ attributes }) => attributes[ATTR_FLOWSPAN_FINDING_ID]);
    await this.until("an end of each start", () => {
      const ended = new Set(ids("end"));
      const started = ids("start");
      return started.length > 0 && started.every((id) => ended.has(id));
    });
  }

  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    await eventually(() => `${what}; found so far: ${JSON.stringify(this.#said())}`, holds, DEADLINE_MS);
  }

  #of(name: FindingName, state: "start" | "end"): ReceivedLog[] {
    return this.logs.filter(
      ({ eventName, attributes }) =>
        eventName === FINDINGS[name].event && attributes[ATTR_FLOWSPAN_FINDING_STATE] === state,
    );
  }

  #said(): object[] {
    return this.logs.map(({ eventName, attributes }) => ({ eventName, ...attributes }));
  }
}
