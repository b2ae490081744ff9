/** Rules, runbooks and dashboards as files, held against each other and against the registry. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { CGROUPS_MAX } from "../../../monitoring/alerts/health-alerts.ts";
import { pace } from "../../../monitoring/alerts/rule.ts";
import { RUNBOOKS, rulesFile } from "../../../monitoring/alerts/rules-file.ts";
import { generate, ruleGroups } from "../../../monitoring/generate.ts";
import { loadRegistry, readModel } from "../../../semconv/load.ts";
import { prometheusName } from "../../../semconv/prometheus.ts";
import { readUpstream } from "../../../semconv/upstream.ts";

const ROOT = join(import.meta.dirname, "../../..");
const DIRECTORY = join(ROOT, RUNBOOKS);
const SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"];

const groups = ruleGroups();
const alerts = groups.flatMap((group) => group.alerts);
const pages = readdirSync(DIRECTORY).filter((file) => file.endsWith(".md"));
const textOf = (page: string) => readFileSync(join(DIRECTORY, page), "utf8");

test("each alert has a runbook of its own, and each runbook an alert", () => {
  expect(pages.sort()).toEqual(alerts.map(({ runbook }) => `${runbook}.md`).sort());
});

test("a runbook has the alert's name, then meaning, impact, diagnosis and mitigation, in that order", () => {
  const heads = pages.map((page) => [page, textOf(page).match(/^##? .*$/gm)]);

  const named = alerts.map(({ name, runbook }) => [`${runbook}.md`, [`# ${name}`, ...SECTIONS]]);
  expect(Object.fromEntries(heads)).toEqual(Object.fromEntries(named));
});

test("every link of a runbook leads to a file of the tree", () => {
  const dead = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)]
      .map(([, link = ""]) => link)
      .filter((link) => !existsSync(join(DIRECTORY, dirname(page), link)))
      .map((link) => `${page}: ${link}`),
  );

  expect(dead).toEqual([]);
});

test("rules, dashboards and runbooks ask for metrics of the registry and for what the rules record", () => {
  const texts = [...generate().values(), ...pages.map(textOf)].join("\n");
  const asked = new Set(
    [...texts.matchAll(/\b(?:flowspan|process_(?:cpu|memory)|[a-z]+:flowspan)_[a-z0-9_:]+/g)].map(([name]) => name),
  );

  const known = new Set(recorded());
  const loaded = loadRegistry(readModel(join(ROOT, "semconv/model")), readUpstream());
  if ("problems" in loaded) throw new Error("the model is wrong");
  for (const metric of loaded.registry.metrics) known.add(prometheusName(metric));
  for (const attribute of loaded.registry.attributes.keys()) known.add(attribute.replaceAll(".", "_"));
  expect([...asked].filter((name) => !known.has(name))).toEqual([]);
});

test("what the rules record, an alert or another record reads", () => {
  const read = groups.flatMap(({ recordings = [], alerts: all }) => [...recordings, ...all].map(({ expr }) => expr));

  expect(recorded().filter((name) => !read.some((expr) => expr.includes(name)))).toEqual([]);
});

test("an address before the runbooks' path makes links of them", () => {
  const text = rulesFile(groups, pace(), "https://git.example/flowspan/blob/main/");

  const links = [...text.matchAll(/runbook_url: (.*)$/gm)].map(([, link]) => link);
  expect(links).toEqual(alerts.map(({ runbook }) => `https://git.example/flowspan/blob/main/${RUNBOOKS}${runbook}.md`));
});

test("the limit of cgroups is the one of the kernel's map", () => {
  const maps = readFileSync(join(ROOT, "bpf/common/maps.h"), "utf8");

  const [, limit] = /__uint\(max_entries, (\d+)\);(?:(?!__uint)[\s\S])*\} cgroups SEC/.exec(maps) ?? [];
  expect(Number(limit)).toBe(CGROUPS_MAX);
});

test("a minute of one second makes each duration and each threshold in seconds a sixtieth", () => {
  const fast = ruleGroups(pace(1)).flatMap((group) => group.alerts);

  const seconds = (name: string, all: typeof alerts) =>
    all
      .find((alert) => alert.name === name)
      ?.expr.match(/\d+/g)
      ?.at(-1);
  expect(seconds("FlowspanProbeDown", alerts)).toBe("300");
  expect(seconds("FlowspanProbeDown", fast)).toBe("5");
  expect(fast.filter(({ expr }) => /\d[mh]\]/.test(expr))).toEqual([]);
});

function recorded(): string[] {
  return groups.flatMap(({ recordings = [] }) => recordings.map(({ record }) => record));
}
