/** Verdicts of a campaign → recall by kind and strength, precision, and the confusion matrix, as Markdown. Pure. */
import type { FaultVerdict, ScenarioVerdict } from "./judge.ts";

export interface Results {
  readonly seed: number;
  /** Milliseconds. */
  readonly interval: number;
  /** The commit that was measured, where somebody noted it. */
  readonly commit?: string;
  readonly verdicts: readonly ScenarioVerdict[];
}

/** What the command line prints of one seed. */
export function renderReport({ seed, interval, verdicts }: Results): string {
  const faults = verdicts.flatMap((verdict) => verdict.faults);
  return [
    `Seed ${seed}: ${verdicts.length} scenarios with ${faults.length} faults, intervals of ${interval} ms.`,
    "",
    renderVerdicts(verdicts),
  ].join("\n");
}

/** One row for each seed, and its wrong findings and places in words. */
export function renderSeeds(campaigns: readonly Results[]): string {
  const rows = campaigns.map(({ seed, interval, commit = "", verdicts }) => {
    const counts = [
      verdicts.length,
      ...[verdicts.flatMap((each) => each.faults).length, findingsOf(verdicts)],
      verdicts.flatMap(({ wrong, wrongPlaces }) => [...wrong, ...wrongPlaces]).length,
    ];
    return `| ${seed} | ${commit} | ${interval} ms | ${counts.join(" | ")} |`;
  });
  return [
    "| seed | commit | intervals of | scenarios | faults | findings | wrong |",
    "|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

/** Precision, recall by kind and strength, and the confusion matrix. */
export function renderVerdicts(verdicts: readonly ScenarioVerdict[]): string {
  const faults = verdicts.flatMap((verdict) => verdict.faults);
  const all = findingsOf(verdicts);
  const wrong = verdicts.flatMap((verdict) => verdict.wrong);
  const wrongPlaces = verdicts.flatMap((verdict) => verdict.wrongPlaces);
  const losses = faults.filter(({ share }) => share !== undefined);
  const placed = count(losses, "found");
  return [
    `- Precision of findings: ${ratio(all - wrong.length, all)} (${all} findings of agents, ${wrong.length} of them wrong).`,
    `- Precision of places, by all nodes together: ${ratio(placed, placed + wrongPlaces.length)} (${placed} right, ${wrongPlaces.length} wrong).`,
    `- Found but with several candidates: ${count(faults, "unknown")} of ${faults.length} faults.`,
    "",
    table("Kind", faults, ({ kind }) => kind),
    "",
    ...confusion(verdicts),
    "",
    table(
      "Loss, uniform traffic",
      faults.filter(({ share, skewed }) => share !== undefined && !skewed),
      strength,
    ),
    "",
    table(
      "Loss, 80 % of the traffic between two pods",
      faults.filter(({ share, skewed }) => share !== undefined && skewed),
      strength,
    ),
    "",
    table("Faults at once", faults, ({ faults: count }) => String(count)),
    "",
    ...wrongLines("Wrong findings", wrong),
    ...wrongLines("Wrong places", wrongPlaces),
  ].join("\n");
}

function findingsOf(verdicts: readonly ScenarioVerdict[]): number {
  return verdicts.reduce((sum, { findings }) => sum + findings, 0);
}

/** Two whole ones, after the one that the fault began in. */
const SOON = 3;
const SEVERAL = "several places";
const NOTHING = "nothing";

/** What was made in rows, what was said of it in columns. The last row is what was said of nothing. */
function confusion(verdicts: readonly ScenarioVerdict[]): string[] {
  const faults = verdicts.flatMap((verdict) => verdict.faults);
  const saidOf = ({ kind, outcome }: FaultVerdict) =>
    outcome === "found" ? kind : outcome === "unknown" ? SEVERAL : NOTHING;
  const pairs = [
    ...faults.map((fault) => [fault.kind, saidOf(fault)]),
    ...verdicts.flatMap(({ wrong, wrongPlaces }) => [
      ...wrong.map((text) => [NOTHING, text.slice(0, text.indexOf(" at "))]),
      ...wrongPlaces.map((text) => [NOTHING, `loss at a ${text.slice(0, text.indexOf(" "))}`]),
    ]),
  ];
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort();
  const others = pairs.map(([, said = ""]) => said).filter((said) => !kinds.includes(said));
  const columns = [...kinds, ...new Set(others)];
  const cell = (made: string, said: string) => pairs.filter(([a, b]) => a === made && b === said).length || "";
  return [
    `| made ↓ said → | ${columns.join(" | ")} |`,
    `|---|${columns.map(() => "---|").join("")}`,
    ...[...kinds, NOTHING].map((made) => `| ${made} | ${columns.map((said) => cell(made, said)).join(" | ")} |`),
  ];
}

function strength({ share }: FaultVerdict): string {
  return `${((share ?? 0) * 100).toFixed(2)} %`;
}

function table(title: string, faults: readonly FaultVerdict[], of: (fault: FaultVerdict) => string): string {
  const groups = [...Map.groupBy(faults, of)].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = groups.map(([name, group]) => {
    const found = group.filter(({ outcome }) => outcome === "found");
    const soon = found.filter(({ intervals = Infinity }) => intervals <= SOON).length;
    const counts = [group.length, found.length, soon, count(group, "unknown"), count(group, "missed")];
    return `| ${name} | ${counts.join(" | ")} | ${ratio(found.length, group.length)} |`;
  });
  return [
    `| ${title} | faults | found | within ${SOON} intervals | unknown | missed | recall |`,
    "|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function count(faults: readonly FaultVerdict[], outcome: FaultVerdict["outcome"]): number {
  return faults.filter((each) => each.outcome === outcome).length;
}

function wrongLines(title: string, wrong: readonly string[]): string[] {
  return wrong.length === 0 ? [] : [`${title}:`, "", ...wrong.map((each) => `- ${each}`), ""];
}

function ratio(part: number, whole: number): string {
  if (whole === 0) return "-";
  const rounded = (part / whole).toFixed(2);
  return rounded === "1.00" && part < whole ? (part / whole).toFixed(3) : rounded;
}
