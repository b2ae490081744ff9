/**
 * What the agent knows about its own work, judged: is it alive, is it ready.
 *
 * Alive fails only where a restart would help: the loop or a watch stands still. Ready says that data flows:
 * a probe answers, exchanges are fresh, what the kernel counts is seen, names are complete and not old. A Collector that is away makes neither
 * fail, since nothing is lost meanwhile; an API server that is away makes names old, and nothing dead.
 */
import type { MetadataVitals } from "../model/metadata.ts";
import type { ProbeTrouble } from "../model/probe-event.ts";

export interface Vitals {
  /** All on one clock that only moves forward, milliseconds. */
  readonly nowMs: number;
  readonly startedMs: number;
  /** When the loop last began a turn, successful or not. */
  readonly lastTurnMs: number;
  /** When an exchange was last complete. */
  readonly lastExchangeMs: number | undefined;
  readonly intervalMs: number;
  /** Why the last exchange failed; undefined when it did not. */
  readonly trouble: string | undefined;
  /** What names depend on; empty without Kubernetes. */
  readonly metadata: readonly MetadataVitals[];
  /** Why names are missing although all metadata has come; undefined: nothing speaks for that. */
  readonly namesTrouble?: string | undefined;
  /** Why flows see nothing of what the kernel counts; undefined: they do, or nothing moves. */
  readonly blindness?: string | undefined;
  /** What the probe says to be wrong with what it stands on. */
  readonly probeTroubles?: readonly ProbeTrouble[];
  /** For how long no probe has been connected; undefined: one is. */
  readonly probeAwayMs?: number | undefined;
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface Health {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/** A turn may take an exchange, an export and a flush, each with a timeout of its own. */
const TURN_MAX_MS = 120_000;
/** How late an exchange may be, besides its interval. */
const LATE_MS = 15_000;
/** Servers confirm every one to two minutes. A deleted pod stays known as long: beyond it, too many new ones are not. */
const METADATA_AGE_MAX_MS = 300_000;
/** Credentials, an answer, its text and the wait that it asks for have limits that are less together. */
const WATCH_IDLE_MAX_MS = 600_000;

export function liveness(vitals: Vitals): Health {
  const age = vitals.nowMs - vitals.lastTurnMs;
  const limit = vitals.intervalMs * 2 + TURN_MAX_MS;
  return health([
    { name: "loop", ok: age <= limit, detail: `last turn began ${seconds(age)} ago, limit ${seconds(limit)}` },
    ...vitals.metadata
      .filter(({ idleMs }) => idleMs > WATCH_IDLE_MAX_MS)
      .map(({ name, idleMs }) => ({
        name: `watch of ${name}`,
        ok: false,
        detail: `stands still for ${seconds(idleMs)}`,
      })),
  ]);
}

export function readiness(vitals: Vitals): Health {
  const { nowMs, lastExchangeMs, intervalMs, metadata, namesTrouble } = vitals;
  const age = lastExchangeMs === undefined ? undefined : nowMs - lastExchangeMs;
  const limit = intervalMs * 3 + LATE_MS;
  const fresh = age !== undefined && age <= limit;
  return health([
    probeCheck(vitals, age),
    {
      name: "exchange",
      ok: fresh,
      detail: age === undefined ? "none yet" : `last one ${seconds(age)} ago, limit ${seconds(limit)}`,
    },
    countingCheck(vitals),
    namesCheck(metadata, namesTrouble),
  ]);
}

/** An upgrade takes a probe away for a second. Longer is told at once, however long it is to the next exchange. */
function probeCheck({ trouble, probeAwayMs = 0 }: Vitals, age: number | undefined): Check {
  const away = probeAwayMs > LATE_MS ? `no probe has been connected for ${seconds(probeAwayMs)}` : undefined;
  const why = trouble ?? away ?? (age === undefined ? "no exchange yet" : undefined);
  return { name: "probe", ok: why === undefined, detail: why ?? "answers" };
}

/** Without pins nothing is lost while the probe lives: reported, and no reason to be taken out of service. */
const TROUBLES: Readonly<Record<ProbeTrouble, { readonly isBlind: boolean; readonly detail: string }>> = {
  pins: {
    isBlind: false,
    detail: "the probe's pins are gone: what is not exported when it ends is lost; start both again as root",
  },
  hooks: { isBlind: true, detail: "a kernel program is detached: the probe's log names it; start the probe again" },
  filter: { isBlind: true, detail: "the cgroup of probe.cgroup is gone: nothing is counted until it is made again" },
};

function countingCheck({ blindness, probeTroubles = [] }: Vitals): Check {
  const troubles = probeTroubles.map((name) => TROUBLES[name]);
  const words = [...(blindness === undefined ? [] : [blindness]), ...troubles.map(({ detail }) => detail)];
  const ok = blindness === undefined && !troubles.some(({ isBlind }) => isBlind);
  return { name: "counting", ok, detail: words.length === 0 ? "what the kernel counts is seen" : words.join("; ") };
}

/** The detail names the feeds in trouble and why, also while they are young enough; feeds with the same trouble together. */
function namesCheck(metadata: readonly MetadataVitals[], trouble: string | undefined): Check {
  const isOld = ({ synced, ageMs }: MetadataVitals) => !synced || ageMs > METADATA_AGE_MAX_MS;
  const notable = metadata.filter((feed) => isOld(feed) || feed.trouble !== undefined);
  const alike = Map.groupBy(notable, ({ synced, trouble }) => `${synced} ${trouble}`);
  const words = [...alike.values()].map((feeds) => {
    const [{ synced, trouble: why }] = feeds as [MetadataVitals];
    const age = Math.max(...feeds.map(({ ageMs }) => ageMs));
    const state = synced ? `last confirmed ${seconds(age)} ago, limit ${seconds(METADATA_AGE_MAX_MS)}` : "not read yet";
    const names = feeds.map(({ name }) => name).join(", ");
    return `${names}: ${state}${why === undefined ? "" : ` (${why})`}`;
  });
  if (trouble !== undefined) words.unshift(trouble);
  const detail = words.length === 0 ? "metadata is complete and fresh" : words.join("; ");
  return { name: "names", ok: trouble === undefined && !metadata.some(isOld), detail };
}

function health(checks: readonly Check[]): Health {
  return { ok: checks.every(({ ok }) => ok), checks };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
