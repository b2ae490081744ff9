import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { spawnProbe } from "../../../agent/runtime/spawn-probe.ts";
import type { ErrorLogger } from "../../../agent/shared/logger.ts";

let directory: string;
let logged: string[];
const log: ErrorLogger = {
  info: (_, message) => logged.push(`info: ${message}`),
  warn: (_, message) => logged.push(`warn: ${message}`),
  error: (_, message) => logged.push(`error: ${message}`),
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-spawn-"));
  logged = [];
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A stand-in for the probe's program: a shell script. */
function program(script: string): string {
  const path = join(directory, "probe");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

test("the probe gets its arguments, its lines go to the log at their level, and a closed stdin ends it", async () => {
  const path = program('echo "{\\"level\\":\\"error\\",\\"msg\\":\\"$*\\"}" >&2; echo "not json" >&2; cat; exit 7');
  const probe = spawnProbe({ program: path, socket: "/run/a.sock", args: ["--pins", "/x"], log });

  await probe.close();

  await expect.poll(() => logged).toEqual(["error: --supervise --socket /run/a.sock --pins /x", "warn: not json"]);
  expect(await probe.ended).toBe(`${path} ended with exit code 7`);
});

test("a Ctrl-C in the terminal, which goes to the agent's process group, does not reach the probe", async () => {
  const path = program('read -r pid _ _ _ group _ </proc/$$/stat; [ "$pid" = "$group" ] && echo own >&2; cat');
  const probe = spawnProbe({ program: path, socket: "/run/a.sock", log });

  await probe.close();

  await expect.poll(() => logged).toEqual(["warn: own"]);
});

test("a probe that does not end is killed", async () => {
  const path = program("exec sleep 100");
  const probe = spawnProbe({ program: path, socket: "/run/a.sock", log, endTimeoutMs: 50 });

  await probe.close();

  expect(await probe.ended).toBe(`${path} ended with SIGKILL`);
});

test("a program that is not there is a reason, not a crash", async () => {
  const probe = spawnProbe({ program: join(directory, "nowhere"), socket: "/run/a.sock", log });

  expect(await probe.ended).toMatch(/^cannot start .*nowhere: .*ENOENT/);
  expect(probe.pid).toBeUndefined();
  await probe.close();
});
