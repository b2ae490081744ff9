/**
 * Skips are earned: where everything was promised, what is missing fails.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { component } from "../../components/find.ts";
import { isPromised, missing } from "../../machine/needs.ts";

afterEach(() => vi.unstubAllEnvs());

test.each([
  [{}, false],
  [{ CI: "" }, false],
  [{ CI: "true" }, true],
  [{ FLOWSPAN_REQUIRE: "all" }, true],
])("with the environment %j, needs are promised: %s", (env, promised) => {
  expect(isPromised(env)).toBe(promised);
});

test("a component that is not built is missed by the command that builds it", () => {
  const cache = mkdtempSync(join(tmpdir(), "flowspan-cache-"));
  onTestFinished(() => rmSync(cache, { recursive: true }));
  vi.stubEnv("FLOWSPAN_CACHE", cache);

  expect(missing("etcd")).toMatch(/^.+\/bin\/etcd-3\.6\.5-[0-9a-f]{8} is not built: run test\/components\/build etcd$/);
  expect(() => component("etcd")).toThrow(`${cache}/bin/etcd-3.6.5-`);
});

test("nothing is missing where nothing is needed", () => {
  expect(missing()).toBeUndefined();
});

test("a setting of the whole machine is changed only where everything was promised", () => {
  vi.stubEnv("CI", "");
  vi.stubEnv("FLOWSPAN_REQUIRE", "");
  const here = missing("expendable");
  vi.stubEnv("CI", "true");

  expect(here).toMatch(/^it changes a setting of the whole machine/);
  expect(missing("expendable")).toBeUndefined();
});
