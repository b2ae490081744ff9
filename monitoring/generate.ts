/**
 * Writes what is made of alerts and dashboards: deploy/alerts/*.yaml and deploy/dashboards/*.json.
 *
 *   node monitoring/generate.ts           writes them
 *   node monitoring/generate.ts --check   writes nothing; exit code 1 names each file that is stale
 *
 * The registry must be right: semconv/generate.ts says what is wrong with it.
 */
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readFindings } from "../semconv/findings.ts";
import { writeOrCheck } from "../semconv/generate.ts";
import { loadRegistry, readModel } from "../semconv/load.ts";
import { readLosses } from "../semconv/losses.ts";
import { readUpstream } from "../semconv/upstream.ts";
import { findingAlerts } from "./alerts/finding-alerts.ts";
import { ownHealth, recordings } from "./alerts/health-alerts.ts";
import { type Pace, pace } from "./alerts/rule.ts";
import { prometheusRule, type RuleGroup, rulesFile } from "./alerts/rules-file.ts";
import { EDGES } from "./dashboards/edges.ts";
import { FINDINGS_BOARD } from "./dashboards/findings-board.ts";
import { OWN_HEALTH_BOARD } from "./dashboards/health.ts";
import { OVERVIEW } from "./dashboards/overview.ts";
import { renderDashboard } from "./dashboards/panel.ts";
import { SERVICE } from "./dashboards/service.ts";

const DASHBOARDS = [OVERVIEW, SERVICE, EDGES, FINDINGS_BOARD, OWN_HEALTH_BOARD];
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** Every alert, with the durations of `at`. @throws Error where the registry is wrong */
export function ruleGroups(at: Pace = pace()): RuleGroup[] {
  const loaded = loadRegistry(readModel(join(ROOT, "semconv/model")), readUpstream());
  const losses = "problems" in loaded ? loaded : readLosses(loaded.registry);
  const findings = "problems" in loaded ? loaded : readFindings(loaded.registry);
  if ("problems" in losses || "problems" in findings)
    throw new Error("semconv/model is wrong: node semconv/generate.ts --check says where");
  return [
    { name: "flowspan-findings", alerts: findingAlerts(findings.findings, at) },
    { name: "flowspan-own-health", recordings: recordings(at), alerts: ownHealth(at, losses.losses) },
  ];
}

/** Texts by path from the root. */
export function generate(): Map<string, string> {
  const groups = ruleGroups();
  return new Map([
    ["deploy/alerts/flowspan.rules.yaml", rulesFile(groups, pace())],
    ["deploy/alerts/prometheus-rule.yaml", prometheusRule(groups, pace())],
    ...DASHBOARDS.map((rows) => [`deploy/dashboards/${rows.uid}.json`, renderDashboard(rows)] as const),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = writeOrCheck(generate(), process.argv.slice(2), ROOT, (line) => console.error(line));
}
