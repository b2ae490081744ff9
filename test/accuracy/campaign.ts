/**
 * One lab for many scenarios: traffic, faults, what every node's agent finds, and the end of all of it before the next one begins.
 *
 *   traffic ─ an exchange ─ faults ─ EXCHANGES whole intervals ─ no faults ─ until every finding has ended ─► what was found
 *                                                                  └ the next one's traffic
 */
import type { Suspect } from "../../agent/findings/localize.ts";
import {
  ATTR_FLOWSPAN_FINDING_ID,
  ATTR_FLOWSPAN_FINDING_PLACE,
  ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES,
  ATTR_FLOWSPAN_FINDING_PLACE_NAME,
  ATTR_FLOWSPAN_FINDING_STATE,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_FLOWSPAN_PEER_K8S_POD_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../agent/generated/semconv.ts";
import { ObservedLab } from "../lab/agents/observed.ts";
import { eventually } from "../lab/programs/process.ts";
import { describe } from "../lab/world/describe.ts";
import type { ReceivedLog } from "../otlp/logs.ts";
import { suspectsOfAll } from "./all-nodes.ts";
import { CoreWaits } from "./core-waits.ts";
import { inject } from "./faults.ts";
import { forgetPoints } from "./forget.ts";
import { type Found, judge, type ScenarioVerdict } from "./judge.ts";
import { CLUSTER, PODS, type Scenario } from "./scenario.ts";
import { serveAll, startTraffic } from "./traffic.ts";

/** How many whole intervals a fault lasts, beside the one that it begins in. */
const EXCHANGES = 3;
/** A node has to be silent for 10 s: TCP's timers know no compressed time, so neither does the threshold. */
const LONG_EXCHANGES = 7;
/** Two intervals without losses end what is judged together. */
const QUIET_EXCHANGES = 2;
/** A connection that was cut off for 16 s may send again as late as 13 s after. */
const LONG_QUIET_EXCHANGES = 8;
const DEADLINE_MS = 60_000;

export interface Played {
  readonly found: readonly Found[];
  /** By all agents' counts together. */
  readonly suspects: readonly Suspect[];
  readonly verdict: ScenarioVerdict;
}

export class Campaign {
  readonly #observed: ObservedLab;
  readonly #intervalMs: number;
  readonly #waits: CoreWaits;
  /** What plays now. */
  #traffic: { readonly scenario: Scenario; readonly end: () => Promise<unknown> } | undefined;

  private constructor(observed: ObservedLab, intervalMs: number) {
    this.#observed = observed;
    this.#intervalMs = intervalMs;
    this.#waits = new CoreWaits(PODS.map((key) => [key, observed.lab.pod(key).place.cgroup]));
  }

  static async start(intervalMs: number): Promise<Campaign> {
    const observed = await ObservedLab.start(describe(CLUSTER), { intervalMs });
    try {
      await serveAll(observed.lab);
      await observed.watch();
      await observed.exchanges(3);
    } catch (error) {
      await observed.close();
      throw error;
    }
    return new Campaign(observed, intervalMs);
  }

  close(): Promise<void> {
    this.#waits.stop();
    return this.#observed.close();
  }

  /** @param next whose traffic begins while this one's findings end */
  async play(scenario: Scenario, next?: Scenario): Promise<Played> {
    const observed = this.#observed;
    const { receiver, lab } = observed;
    const first = receiver.logs.length;
    if (this.#traffic?.scenario !== scenario) {
      await this.#play(scenario);
      await observed.exchanged(1);
    }
    this.#waits.forget();
    const fromUnixNs = unixNs();
    const isLong = scenario.faults.some(({ kind }) => kind === "partition");
    const faults = await Promise.all(scenario.faults.map((fault) => inject(lab, fault)));
    await observed.exchanged(isLong ? LONG_EXCHANGES : EXCHANGES);
    const suspects = suspectsOfAll(receiver.points, fromUnixNs, unixNs());
    await Promise.all(faults.map((fault) => fault.remove()));
    await this.#play(next);
    // Each series has a point again before the next one's faults: its growth counts from there.
    forgetPoints(observed);
    await observed.exchanged(isLong ? LONG_QUIET_EXCHANGES : QUIET_EXCHANGES);
    await this.#allEnded(first);
    const found = foundOf(receiver.logs.slice(first), (name) => this.#keyOf(name), fromUnixNs, this.#intervalMs);
    const verdict = judge(scenario, found, suspects);
    const isWrong = verdict.wrong.length + verdict.wrongPlaces.length > 0;
    return { found, suspects, verdict: isWrong ? { ...verdict, waited: this.#waits.largest() } : verdict };
  }

  async #play(scenario: Scenario | undefined): Promise<void> {
    await this.#traffic?.end();
    this.#traffic = scenario && { scenario, end: await startTraffic(this.#observed.lab, scenario) };
  }

  #keyOf(podName: string): string {
    return this.#observed.lab.description.pods.find(({ name }) => name === podName)?.key ?? podName;
  }

  /** A finding that goes on would be the next scenario's. */
  async #allEnded(first: number): Promise<void> {
    const active = () => {
      const logs = this.#observed.receiver.logs.slice(first);
      const ended = new Set(logs.filter(isEnd).map(idOf));
      return logs.filter((log) => !ended.has(idOf(log)));
    };
    await eventually(
      () => `an end of each finding; active: ${JSON.stringify(active())}`,
      () => active().length === 0,
      DEADLINE_MS,
    );
  }
}

const idOf = (log: ReceivedLog) => String(log.attributes[ATTR_FLOWSPAN_FINDING_ID]);
const isEnd = (log: ReceivedLog) => log.attributes[ATTR_FLOWSPAN_FINDING_STATE] === "end";

const unixNs = () => BigInt(Date.now()) * 1_000_000n;

type KeyOf = (podName: string) => string;

/** Each finding once: when by its start, where by its end, which knows most. */
function foundOf(logs: readonly ReceivedLog[], keyOf: KeyOf, fromUnixNs: bigint, intervalMs: number): Found[] {
  const ends = new Map(logs.filter(isEnd).map((log) => [idOf(log), log]));
  return logs
    .filter((log) => !isEnd(log))
    .map((start): Found => {
      const { eventName, resource, attributes } = ends.get(idOf(start)) ?? start;
      const subject = resource[ATTR_K8S_POD_NAME];
      const peer = attributes[ATTR_FLOWSPAN_PEER_K8S_POD_NAME];
      const peerNode = attributes[ATTR_FLOWSPAN_PEER_K8S_NODE_NAME];
      return {
        name: eventName.replace("flowspan.finding.", ""),
        node: String(resource[ATTR_K8S_NODE_NAME]),
        subject: subject === undefined ? undefined : keyOf(String(subject)),
        peer: peer === undefined ? undefined : keyOf(String(peer)),
        peerNode: peerNode === undefined ? undefined : String(peerNode),
        candidates: candidatesOf(attributes).map((each) => each.replace(/default\/(\S+)/g, (_, name) => keyOf(name))),
        intervals: Math.ceil(Number((start.timeUnixNs - fromUnixNs) / 1_000_000n) / intervalMs),
      };
    });
}

function candidatesOf(attributes: ReceivedLog["attributes"]): string[] {
  const candidates = attributes[ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES];
  if (Array.isArray(candidates)) return candidates.map(String);
  const place = attributes[ATTR_FLOWSPAN_FINDING_PLACE];
  return place === undefined ? [] : [`${place} ${attributes[ATTR_FLOWSPAN_FINDING_PLACE_NAME]}`];
}
