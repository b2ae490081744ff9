/** A running agent's configuration: what changes, what waits, what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadConfig } from "../../../agent/config/load.ts";
import { LiveConfig } from "../../../agent/runtime/reload.ts";

let directory: string;
let file: string;
let said: [level: string, fields: object, message: string][];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-reload-"));
  file = join(directory, "flowspan.yaml");
  said = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const log = {
  info: (fields: object, message: string) => said.push(["info", fields, message]),
  warn: (fields: object, message: string) => said.push(["warn", fields, message]),
  error: (fields: object, message: string) => said.push(["error", fields, message]),
};

function write(ours: string): void {
  writeFileSync(file, `file_format: "1.1"\ndistribution: {flowspan: {${ours}}}\n`);
}

/** An agent that started with `ours`, and the intervals that were put into effect. */
function start(ours: string): { live: LiveConfig; applied: number[] } {
  write(ours);
  const sources = { env: { OTEL_CONFIG_FILE: file }, flags: {} };
  const live = new LiveConfig(loadConfig(sources), sources, log);
  const applied: number[] = [];
  live.onChange(({ interval }) => applied.push(interval));
  return { live, applied };
}

test("live fields take effect, the others wait for a restart, and both are named", () => {
  const { live, applied } = start("interval: 1000");

  write("interval: 2000, probe: {edges: 23}");
  live.reload();
  live.reload();

  expect([applied, live.settings.interval, live.settings.probe.edges]).toEqual([[2000], 2000, 65536]);
  expect(live.report()).toEqual({
    file,
    reloads: 2,
    failedReloads: 0,
    awaitingRestart: ["distribution.flowspan.probe.edges"],
  });
  expect(said).toEqual([
    ["info", { file, fields: ["distribution.flowspan.interval"] }, "the new configuration is in effect"],
    ["warn", { file, fields: ["distribution.flowspan.probe.edges"] }, "these fields take effect after a restart"],
  ]);
});

test("what a changed file makes worth a word is said once", () => {
  const { live } = start("interval: 1000");
  const word = ["warn", { warning: [`${file}: propagator has no effect on flowspan`] }, "about the configuration"];

  writeFileSync(file, `file_format: "1.1"\npropagator: {}\n`);
  live.reload();
  live.reload();

  expect(said.filter(([, , message]) => message === "about the configuration")).toEqual([word]);
});

test("a file that is wrong changes nothing, is said in full and is counted", () => {
  const { live, applied } = start("interval: 1000");

  write("interval: 3000, probe: {edges: none}");
  live.reload();

  expect([applied, live.settings.interval, live.failedReloads]).toEqual([[], 1000, 1]);
  expect(said).toEqual([
    [
      "error",
      {
        file,
        problems: [
          "the configuration has 1 problem:",
          `${file}:2: distribution.flowspan.probe.edges`,
          '  found:   "none"',
          "  allowed: a whole number from 16 to 1000000",
          "  remedy:  write a whole number",
        ],
      },
      "the new configuration is wrong: the old one stays",
    ],
  ]);
});

test("a change that is taken back before the restart waits no longer", () => {
  const { live } = start("probe: {edges: 23}");

  write("probe: {edges: 29}");
  live.reload();
  write("probe: {edges: 23}");
  live.reload();

  expect(live.awaitingRestart).toEqual([]);
});
