/**
 * A real Prometheus for a test: scrapes what it is told to, takes remote writes, answers PromQL.
 *
 * Configured by the file that we ship, with another target and a shorter interval; native histograms on
 * unless a test wants to see what happens without them.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { freePorts } from "../shared/free-ports.ts";
import { component } from "./find.ts";
import { answers, askUntil, Running } from "./running.ts";

const SHIPPED_CONFIG = fileURLToPath(new URL("../../deploy/otel-collector/prometheus.yaml", import.meta.url));

export interface PrometheusOptions {
  /** `HOST:PORT` of Collectors to scrape; none means that it waits for remote writes. */
  readonly scrapeTargets?: readonly string[];
  readonly nativeHistograms?: boolean;
  /** How often targets are scraped; a scrape that takes longer is none. */
  readonly scrapeMs?: number;
  /** The text of a rules file, evaluated as often as targets are scraped. */
  readonly rules?: string;
}

/** One series of a range query, a value a step; NaN where there is none. */
export interface Line {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly number[];
}

/** Unix seconds. */
export interface Range {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** One series of an instant query. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  readonly url: string;
  /** Where a remote write goes. */
  readonly remoteWrite: string;
  /** @throws Error with Prometheus' own words on a wrong query */
  query(promql: string): Promise<Sample[]>;
  queryRange(promql: string, range: Range): Promise<Line[]>;
  /** Asks until the answer is as wanted, and gives it; the last one when the deadline has passed. */
  queryOnce(promql: string, isRight: (samples: Sample[]) => boolean, deadlineMs?: number): Promise<Sample[]>;
  stop(): Promise<void>;
}

/** @throws Error with its log when it does not get ready */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<Prometheus> {
  const program = component("prometheus");
  const directory = mkdtempSync(join(tmpdir(), "flowspan-prometheus-"));
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const config = join(directory, "prometheus.yaml");
  const { rules, scrapeTargets = [], scrapeMs = 250 } = options;
  const ruleFiles = rules === undefined ? [] : [join(directory, "rules.yaml")];
  for (const path of ruleFiles) writeFileSync(path, rules ?? "");
  writeFileSync(config, configText(scrapeTargets, `${scrapeMs}ms`, ruleFiles));
  const features = (options.nativeHistograms ?? true) ? ["--enable-feature=native-histograms"] : [];
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--web.enable-remote-write-receiver",
    ...features,
  ];
  const running = new Running("Prometheus", program, args, { directory });
  await running.ready(() => answers(`${url}/-/ready`));

  const query = (promql: string) => instantQuery(url, promql);
  return {
    url,
    remoteWrite: `${url}/api/v1/write`,
    query,
    queryRange: (promql, range) => rangeQuery(url, promql, range),
    queryOnce: (promql, isRight, deadlineMs) => askUntil(() => query(promql), isRight, deadlineMs),
    stop: () => running.stop(),
  };
}

interface Config {
  global: { scrape_interval: string; evaluation_interval?: string };
  rule_files?: readonly string[];
  scrape_configs: { static_configs: { targets: readonly string[] }[] }[];
}

function configText(targets: readonly string[], interval: string, ruleFiles: readonly string[]): string {
  const config = parse(readFileSync(SHIPPED_CONFIG, "utf8")) as Config;
  config.global.scrape_interval = interval;
  config.global.evaluation_interval = interval;
  config.rule_files = ruleFiles;
  for (const job of config.scrape_configs) job.static_configs = [{ targets }];
  return stringify(config);
}

interface Answer {
  readonly error?: string;
  readonly data?: {
    readonly result: readonly {
      readonly metric: Record<string, string>;
      readonly value?: readonly [number, string];
      readonly values?: readonly (readonly [number, string])[];
    }[];
  };
}

async function ask(url: string, path: string, parameters: Record<string, string>) {
  const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const answer = (await response.json()) as Answer;
  if (answer.data === undefined) throw new Error(`${parameters.query}: ${answer.error ?? response.status}`);
  return answer.data.result;
}

async function instantQuery(url: string, promql: string): Promise<Sample[]> {
  const result = await ask(url, "query", { query: promql });
  return result.map(({ metric, value }) => ({ labels: metric, value: Number(value?.[1]) }));
}

async function rangeQuery(url: string, promql: string, { start, end, step }: Range): Promise<Line[]> {
  const parameters = { query: promql, start: `${start}`, end: `${end}`, step: `${step}` };
  const times = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, index) => start + index * step);
  return (await ask(url, "query_range", parameters)).map(({ metric, values = [] }) => {
    const at = new Map(values.map(([time, value]) => [Math.round((time - start) / step), Number(value)]));
    return { labels: metric, values: times.map((_, index) => at.get(index) ?? Number.NaN) };
  });
}
