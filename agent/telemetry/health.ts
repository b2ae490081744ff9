/**
 * What the agent knows about its own work, judged: is it alive, is it ready.
 *
 * Alive fails only where a restart would help: the loop or a watch stands still. Ready says that data flows:
 * a probe answers, exchanges are fresh, names are complete and not old. A Collector that is away makes neither
 * fail, since nothing is lost meanwhile; an API server that is away makes names old, and nothing dead.
 */
import type { MetadataVitals } from "../model/metadata.ts";
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
  const { nowMs, lastExchangeMs, intervalMs, trouble, metadata, namesTrouble } = vitals;
  const age = lastExchangeMs === undefined ? undefined : nowMs - lastExchangeMs;
  const limit = intervalMs * 3 + LATE_MS;
  const fresh = age !== undefined && age <= limit;
  return health([
    {
      name: "probe",
      ok: trouble === undefined && age !== undefined,
      detail: trouble ?? (age === undefined ? "no exchange yet" : "answers"),
    },
    {
      name: "exchange",
      ok: fresh,
      detail: age === undefined ? "none yet" : `last one ${seconds(age)} ago, limit ${seconds(limit)}`,
    },
    namesCheck(metadata, namesTrouble),
  ]);
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
