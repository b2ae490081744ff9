/**
 * What the agent knows about its own work, judged: is it alive, is it ready.
 *
 * Alive fails only where a restart would help: the loop stands still. Ready says that data flows: a
 * probe answers, exchanges are fresh and names can be given. A Collector that is away makes neither
 * fail, since nothing is lost meanwhile and a restart would not bring it back.
 */

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
  /** False while metadata that names depend on has not come yet. */
  readonly synced: boolean;
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

export function liveness(vitals: Vitals): Health {
  const age = vitals.nowMs - vitals.lastTurnMs;
  const limit = vitals.intervalMs * 2 + TURN_MAX_MS;
  return health([
    { name: "loop", ok: age <= limit, detail: `last turn began ${seconds(age)} ago, limit ${seconds(limit)}` },
  ]);
}

export function readiness(vitals: Vitals): Health {
  const { nowMs, lastExchangeMs, intervalMs, trouble, synced } = vitals;
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
    { name: "names", ok: synced, detail: synced ? "metadata is complete" : "metadata has not come yet" },
  ]);
}

function health(checks: readonly Check[]): Health {
  return { ok: checks.every(({ ok }) => ok), checks };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
