/**
 * The name a metric or attribute has in Prometheus, as the Collector's Prometheus exporters make it by
 * default (translation strategy UnderscoreEscapingWithSuffixes).
 *
 * After github.com/prometheus/otlptranslator v1.0.0, MetricNamer and LabelNamer, for the units and names
 * that check.ts lets through. It must not grow rules that the translator does not have.
 */
import type { Instrument } from "./types.ts";

const UNITS: Readonly<Record<string, string>> = { s: "seconds", By: "bytes", "%": "percent", "1": "" };
const PER_UNITS: Readonly<Record<string, string>> = { s: "second" };

export interface PrometheusMetric {
  readonly name: string;
  readonly unit: string;
  readonly instrument: Instrument;
}

/** Without `_bucket`, `_sum` and `_count`, which only classic histograms have. */
export function prometheusName({ name, unit, instrument }: PrometheusMetric): string {
  const [main = "", per = ""] = unit.split("/");
  const perSuffix = unitWord(per, PER_UNITS);
  let words = name.split(/[^a-zA-Z0-9:]+/).filter((word) => word !== "");
  for (const suffix of [unitWord(main, UNITS), perSuffix === "" ? "" : `per_${perSuffix}`]) {
    if (suffix !== "" && !words.includes(suffix)) words = [...words, suffix];
  }
  if (instrument === "counter") words = moveToEnd(words, "total");
  if (unit === "1" && instrument === "gauge") words = moveToEnd(words, "ratio");
  const joined = words.join("_");
  return /^[0-9]/.test(joined) ? `_${joined}` : joined;
}

export function prometheusLabel(attribute: string): string {
  const label = attribute.replace(/[^a-zA-Z0-9]+/g, "_");
  return /^[0-9]/.test(label) ? `key_${label}` : label;
}

/** Annotations in braces name no unit. */
function unitWord(unit: string, words: Readonly<Record<string, string>>): string {
  return /[{}]/.test(unit) ? "" : (words[unit] ?? unit);
}

function moveToEnd(words: readonly string[], word: string): string[] {
  return [...words.filter((other) => other !== word), word];
}
