/**
 * The shipped rules with Prometheus' own promtool: they are valid, and each alert fires in its story and is quiet before
 * and after (health-alert-cases.ts, finding-alert-cases.ts).
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test as plainTest } from "vitest";
import { parse, stringify } from "yaml";
import { component } from "../components/find.ts";
import { needs } from "../machine/needs.ts";
import { type AlertCase, HEALTHY } from "./alert-story.ts";
import { FINDING_CASES } from "./finding-alert-cases.ts";
import { HEALTH_CASES } from "./health-alert-cases.ts";
import { SEEN_ALERTS } from "./seen-alerts.ts";

const test = needs("promtool");
const ROOT = join(import.meta.dirname, "../..");
const RULES = join(ROOT, "deploy/alerts/flowspan.rules.yaml");
const CASES: readonly AlertCase[] = [...FINDING_CASES, ...HEALTH_CASES];
const MANIFEST = join(ROOT, "deploy/alerts/prometheus-rule.yaml");

interface Groups {
  readonly groups: readonly { readonly rules: readonly { readonly alert?: string; readonly labels?: object }[] }[];
}

const shipped = parse(readFileSync(RULES, "utf8")) as Groups;
const alerts = shipped.groups.flatMap(({ rules }) => rules).filter(({ alert }) => alert !== undefined);

const directory = mkdtempSync(join(tmpdir(), "flowspan-promtool-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("promtool finds nothing wrong with the rules", async () => {
  await expect(promtool("check", "rules", RULES)).resolves.toContain("SUCCESS");
});

plainTest("the manifest of the Prometheus Operator has the same groups as the rules file", () => {
  const { spec } = parse(readFileSync(MANIFEST, "utf8")) as { spec: Groups };

  expect(spec).toEqual(shipped);
});

plainTest("each alert has a story, and each story an alert", () => {
  expect([...new Set(CASES.map(({ alert }) => alert))].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
});

plainTest(
  "each alert has a file that sees it firing and resolved on a real Prometheus, and each of these files is there",
  () => {
    expect(Object.values(SEEN_ALERTS).flat().sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    expect(Object.keys(SEEN_ALERTS).filter((file) => !existsSync(join(import.meta.dirname, file)))).toEqual([]);
  },
);

plainTest("the command of the documents puts an address before each runbook", async () => {
  const document = readFileSync(join(ROOT, "docs/alerts-and-dashboards.md"), "utf8");
  const [command = ""] = document.match(/(?<=^ {4})sed .*$/m) ?? [];

  const { stdout } = await promisify(execFile)("sh", ["-c", command], { cwd: ROOT });

  const links = [...stdout.matchAll(/runbook_url: (\S+)$/gm)].map(([, link]) => link);
  expect(links.length).toBe(alerts.length);
  expect(links.filter((link) => !/^https:\/\/\S+\/docs\/runbooks\/[a-z-]+\.md$/.test(link ?? ""))).toEqual([]);
});

for (const [index, story] of CASES.entries()) {
  test(`${story.alert} alone fires at minute ${story.fires} of story ${index}, and none does at ${story.quiet.join(", ")}`, async () => {
    const file = join(directory, `story-${index}.yaml`);
    writeFileSync(file, storyText(story));

    await expect(promtool("test", "rules", file)).resolves.toContain("SUCCESS");
  });
}

/** A unit test of promtool: the alerts that fire are a query as any other. */
function storyText({ alert, series, fires, labels, quiet }: AlertCase): string {
  const severity = alerts.find((each) => each.alert === alert)?.labels;
  const firing = { alertname: alert, alertstate: "firing", ...severity, ...labels };
  const expr = 'ALERTS{alertstate="firing"}';
  const input = Object.entries({ ...HEALTHY, ...series }).map(([name, values]) => ({
    series: name,
    values: values.map(valuesText).join(" "),
  }));
  return stringify({
    rule_files: [RULES],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: input,
        promql_expr_test: [
          { expr, eval_time: `${fires}m`, exp_samples: [{ labels: selector(firing), value: 1 }] },
          ...quiet.map((minute) => ({ expr, eval_time: `${minute}m`, exp_samples: [] })),
        ],
      },
    ],
  });
}

function valuesText([value, minutes]: AlertCase["series"][string][number]): string {
  if (value === "stale") return value;
  return value === "_" ? `_x${minutes}` : `${value}+0x${minutes - 1}`;
}

function selector(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return `ALERTS{${pairs.join(",")}}`;
}

/** @throws Error with what it says where it fails */
async function promtool(...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(component("promtool"), args).catch((error) => {
    throw new Error(`${error.stdout}${error.stderr}`);
  });
  return stdout + stderr;
}
