/** Verdicts of a campaign → recall by kind and strength, precision, and the confusion matrix, as Markdown. Pure. */
import type { FaultVerdict, ScenarioVerdict } from "./judge.ts";

export interface Results {
  readonly seed: number;
  /** Milliseconds. */
  readonly interval: number;
  readonly verdicts: readonly ScenarioVerdict[];
}

export function renderReport({ seed, interval, verdicts }: Results): string {
  const faults = verdicts.flatMap((verdict) => verdict.faults);
  const wrong = verdicts.flatMap((verdict) => verdict.wrong);
  const right = faults.filter(({ outcome }) => outcome === "found").length;
  return [
    `Seed ${seed}: ${verdicts.length} scenarios with ${faults.length} faults, intervals of ${interval} ms.`,
    "",
    `Precision: ${ratio(right, right + wrong.length)} (${right} right, ${wrong.length} wrong). Named with candidates only: ${share(faults, "unknown")}.`,
    "",
    table("Kind", faults, ({ kind }) => kind),
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
    ...(wrong.length === 0 ? [] : ["Wrong:", "", ...wrong.map((each) => `- ${each}`), ""]),
  ].join("\n");
}

function strength({ share }: FaultVerdict): string {
  return `${((share ?? 0) * 100).toFixed(2)} %`;
}

function table(title: string, faults: readonly FaultVerdict[], of: (fault: FaultVerdict) => string): string {
  const groups = [...Map.groupBy(faults, of)].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = groups.map(([name, group]) => {
    const intervals = group
      .map((each) => each.intervals)
      .filter((each) => each !== undefined)
      .sort((a, b) => a - b);
    const median = intervals.at(Math.floor(intervals.length / 2));
    return `| ${name} | ${group.length} | ${count(group, "found")} | ${count(group, "unknown")} | ${count(group, "missed")} | ${ratio(count(group, "found"), group.length)} | ${median ?? "-"} |`;
  });
  return [
    `| ${title} | faults | found | unknown | missed | recall | intervals, median |`,
    "|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function count(faults: readonly FaultVerdict[], outcome: FaultVerdict["outcome"]): number {
  return faults.filter((each) => each.outcome === outcome).length;
}

function share(faults: readonly FaultVerdict[], outcome: FaultVerdict["outcome"]): string {
  return `${count(faults, outcome)} of ${faults.length}`;
}

function ratio(part: number, whole: number): string {
  return whole === 0 ? "-" : (part / whole).toFixed(2);
}
