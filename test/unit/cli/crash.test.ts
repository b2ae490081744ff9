/** What nobody foresaw ends the program with its place and without the secrets that it knows. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("../../../agent/main.ts", import.meta.url));
const SECRET = "S3cr3t0123456789";

test("an error that nobody caught is told as flowspan's own, and no variable's secret with it", () => {
  const env = {
    PATH: process.env.PATH,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${SECRET}`,
    https_proxy: `http://user:pw${SECRET}@proxy:3128`,
  };
  const thrower =
    "data:text/javascript,setTimeout(() => { throw new Error('with ' + process.env.OTEL_EXPORTER_OTLP_HEADERS + process.env.https_proxy) })";

  const run = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--import", thrower, MAIN, "version"],
    { env, encoding: "utf8" },
  );

  expect(run.status).toBe(1);
  expect(run.stderr).toMatch(/^flowspan: a fault of flowspan itself, please report it:\nError: with authorization=/);
  expect(run.stderr).not.toContain(SECRET);
});
