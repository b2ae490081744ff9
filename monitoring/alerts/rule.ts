/**
 * What an alert is as data, how long things take in it, and the pieces of PromQL that several alerts share. Pure.
 */
import { LABEL, NODE } from "../prometheus-names.ts";

/** `critical`: something does not work. `warning`: it will not for long, or works in part. `info`: to look at by day. */
export type Severity = "critical" | "warning" | "info";

export interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long the expression must hold, in minutes; 0: at once. */
  readonly forMinutes: number;
  readonly severity: Severity;
  /** One line, a template of Prometheus. */
  readonly summary: string;
  readonly description: string;
  /** Its page in docs/runbooks/, without `.md`. */
  readonly runbook: string;
}

/** A sum that alerts read: computed first, so that the counter of a node goes on across restarts of its agent. */
export interface Recording {
  readonly record: string;
  readonly expr: string;
}

/** Minutes → what PromQL writes for them. Tests let a minute be a second: the same rules, sixty times as fast. */
export interface Pace {
  /** `10m` */
  range(minutes: number): string;
  /** Of a value that is in seconds. */
  seconds(minutes: number): number;
}

/** @param minuteSeconds how long a minute is; 60 in what is shipped */
export function pace(minuteSeconds = 60): Pace {
  return {
    range: (minutes) => (minuteSeconds === 60 ? `${minutes}m` : `${minutes * minuteSeconds}s`),
    seconds: (minutes) => minutes * minuteSeconds,
  };
}

/**
 * One series a node and cluster, and for each value of `labels`. An agent that was started anew has another instance and, in
 * a pod, another host name; the node's name stays.
 */
export function perNode(operation: "max" | "min" | "group", vector: string, ...labels: readonly string[]): string {
  const onHost = `label_replace(${vector}, "${NODE}", "$1", "${LABEL.host}", "(.+)")`;
  const onNode = `label_replace(${onHost}, "${NODE}", "$1", "${LABEL.k8sNode}", "(.+)")`;
  return `${operation} by (${[LABEL.cluster, NODE, ...labels].join(", ")}) (${onNode})`;
}

/**
 * Growth of a counter in the last ten minutes, also of one whose series has begun in them: `increase()` does not see its
 * first value. One that was there in the hour before is not new: its agent was away for a while.
 */
export function growth(counter: string, { range }: Pace): string {
  const isOld = `last_over_time(${counter}[${range(60)}] offset ${range(10)})`;
  return `((${counter} unless ${isOld}) or increase(${counter}[${range(10)}]))`;
}

/**
 * The newest value of the last five minutes. A scrape that fails ends all series of its target at once: without this, an alert that must
 * hold for longer would begin to wait anew.
 */
export function held(series: string, { range }: Pace): string {
  return `last_over_time(${series}[${range(5)}])`;
}

export const PLACE = `{{ $labels.${NODE} }}{{ with $labels.${LABEL.cluster} }} of {{ . }}{{ end }}`;
