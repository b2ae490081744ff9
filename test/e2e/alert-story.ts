/**
 * A story of an alert in series: a healthy agent, the fault, and health again, a value a minute. It says when the alert must
 * fire, with which labels, and when no alert may.
 */

/** Values from the first minute on: how many minutes each holds. `_`: no sample. `stale`: what a failed scrape leaves, for one minute. */
type Values = readonly (readonly [value: number | "_" | "stale", minutes: number])[];

export interface AlertCase {
  readonly alert: string;
  /** By series. A row for a series of HEALTHY takes its place. */
  readonly series: Readonly<Record<string, Values>>;
  /** Minutes at which this alert alone fires. */
  readonly fires: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Minutes at which no alert fires: before, and after. */
  readonly quiet: readonly number[];
}

export const CLUSTER = 'k8s_cluster_name="lab"';
export const AGENT = `service_name="flowspan",host_name="flowspan-x7k2p",k8s_node_name="node-1",${CLUSTER}`;
export const AGE = `flowspan_exchange_age_seconds{${AGENT}}`;

/** What a healthy agent says for two hours. */
export const HEALTHY: Readonly<Record<string, Values>> = { [AGE]: [[0.5, 120]] };

/** A story in which one scrape fails, at this minute: that ends all series for a minute. */
export function withFailedScrape(story: AlertCase, minute: number): AlertCase {
  const series = Object.entries({ ...HEALTHY, ...story.series }).map(([name, values]) => [
    name,
    failedAt(values, minute),
  ]);
  return { ...story, series: Object.fromEntries(series) };
}

function failedAt(values: Values, minute: number): Values {
  const each = values.flatMap(([value, minutes]) => Array.from({ length: minutes }, () => value));
  if (each[minute] !== undefined && each[minute] !== "_") each[minute] = "stale";
  return each.map((value) => [value, 1] as const);
}
