/** An agent as a process of its own, with the launcher's settings of V8 and of malloc, whose memory somebody attacks. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { launcherSettings } from "./replayer.ts";

const MAIN = join(import.meta.dirname, "../../agent/main.ts");
/** As root the agent would start a probe. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** With an exchange a second; ends with the test. @param args more of its arguments */
export function startAgent(args: readonly string[], variables: Readonly<Record<string, string>> = {}): ChildProcess {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-hostile-"));
  chmodSync(directory, 0o777);
  const own = ["--probe", "/nowhere", "--admin-socket", join(directory, "admin.sock"), "--interval", "1000"];
  const { flags, env } = launcherSettings();
  const agent = spawn(process.execPath, [...flags, MAIN, "agent", ...own, ...args], {
    ...NOBODY,
    env: { PATH: process.env.PATH, ...env, ...variables },
    stdio: process.env.FLOWSPAN_SHOW === undefined ? "ignore" : "inherit",
  });
  onTestFinished(() => {
    agent.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  return agent;
}
