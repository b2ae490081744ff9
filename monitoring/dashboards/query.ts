/**
 * The queries of the panels, in pieces, with Grafana's own builder of PromQL. Names come from the registry. Pure.
 *
 * Grafana fills in what begins with `$`: the variables of the dashboard, and the range of a rate.
 */
import {
  type Builder,
  div,
  type Expr,
  histogramQuantile,
  rate,
  sum,
  topk,
  type VectorExprBuilder,
  vector,
} from "@grafana/promql-builder";
import type { MetricDescriptor } from "../../agent/generated/semconv.ts";
import { LABEL, series } from "../prometheus-names.ts";

export type Query = Builder<Expr> & { toString(): string };

/** By label: the value, or a list of values, of which one may be a variable. */
export type Matchers = Readonly<Partial<Record<keyof typeof LABEL, string>>>;

const TOP = 10;
/** From where: the local end. To where: the remote end, and its port. */
export const PAIR = [LABEL.serviceNamespace, LABEL.service, LABEL.peerNamespace, LABEL.peer, LABEL.port] as const;
export const PAIR_LEGEND = `{{${LABEL.serviceNamespace}}}/{{${LABEL.service}}} → {{${LABEL.peerNamespace}}}/{{${LABEL.peer}}}:{{${LABEL.port}}}`;

/** The series of a metric. A value of `!` means: not empty; one with `$`: of the dashboard's variable, which may be several. */
export function of(metric: MetricDescriptor, matchers: Matchers = {}): VectorExprBuilder {
  const entries = Object.entries(matchers) as [keyof typeof LABEL, string][];
  return entries.reduce(
    (query, [label, value]) => {
      if (value === "!") return query.labelNeq(LABEL[label], "");
      return value.includes("$") ? query.labelMatchRegexp(LABEL[label], value) : query.label(LABEL[label], value);
    },
    vector(series(metric)),
  );
}

/** A second's growth, summed by these labels. */
export function perSecond(metric: MetricDescriptor, matchers: Matchers, by: readonly string[] = []) {
  return sum(rate(of(metric, matchers).range("$__rate_interval"))).by([...by]);
}

export function share(part: Query, whole: Query): Query {
  return div(part, whole);
}

/** Of a native histogram. */
export function quantile(phi: number, metric: MetricDescriptor, matchers: Matchers, by: readonly string[] = []): Query {
  return histogramQuantile(phi, perSecond(metric, matchers, by));
}

export function top(query: Query): Query {
  return topk(TOP, query);
}
