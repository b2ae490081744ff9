/** The table of settings: its page, its flags, and what a change of each takes. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { applyLive, compareSettings } from "../../../agent/config/change.ts";
import { configurationPage } from "../../../agent/config/docs.ts";
import { readFlags } from "../../../agent/config/flags.ts";
import { ROWS } from "../../../agent/config/setting-rows.ts";
import { load, ours } from "./given.ts";

describe("changes", () => {
  test("a change is split into what takes effect at once and what needs a restart", () => {
    const before = load({ file: ours("interval: 1000") }).settings;
    const after = load({ file: `${ours("interval: 2000", "probe: {edges: 100}")}\nlog_level: debug` }).settings;

    const change = compareSettings(before, after);
    const applied = applyLive(before, after);

    expect(change).toEqual({
      live: ["distribution.flowspan.interval", "log_level"],
      restart: ["distribution.flowspan.probe.edges"],
    });
    expect([applied.interval, applied.logLevel, applied.probe.edges]).toEqual([2000, "debug", 65536]);
  });
});

describe("the table", () => {
  test("no two settings share a place, a flag or a variable, but for OTLP's general ones", () => {
    const isGeneral = (name: string) => /^OTEL_EXPORTER_OTLP_(?!METRICS_|TRACES_)/.test(name);
    const taken = ROWS.flatMap(({ path, field }) => [
      path,
      field.flag ?? "",
      ...(field.env ?? []).filter((name) => !isGeneral(name)),
    ]).filter(Boolean);

    expect(taken).toEqual([...new Set(taken)]);
  });

  test("every flag's default, written as the flag, is taken and gives the default", () => {
    const flags = ROWS.filter(({ field }) => field.flag !== undefined && field.default !== undefined);

    for (const { keys, field } of flags) {
      const stated = typeof field.default === "boolean" ? field.default : String(field.default);
      const read = readFlags({ [field.flag as string]: stated });
      expect(read).toMatchObject({ values: new Map([[keys.join("."), field.default]]), problems: [], warnings: [] });
    }
  });

  test("the tree's page is the table's", () => {
    const page = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");

    expect(page).toBe(configurationPage());
  });

  test("the page names every setting", () => {
    const page = configurationPage();

    for (const { path, field } of ROWS)
      expect(page).toContain(path === "" ? (field.env?.[0] ?? "") : (path.split(".").at(-1) as string));
  });
});
