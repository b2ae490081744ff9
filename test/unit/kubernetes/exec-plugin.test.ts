/** An exec plugin's life: it asks nobody, and it ends, with all that it started, when nobody needs it any more. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { kubeconfigConnection } from "../../../agent/kubernetes/kubeconfig-connection.ts";

const WAIT = { timeout: 30_000, interval: 10 };
const CREDENTIAL = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}';

/** A connection whose plugin is this script; `pids` are of all processes that wrote theirs into the file. */
function pluginConnection(script: string, options: Parameters<typeof kubeconfigConnection>[1] = {}) {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-plugin-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [plugin, file, pidFile] = ["plugin", "config", "pids"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(plugin, `#!/bin/sh\ncd ${directory}\n${script}\n`);
  chmodSync(plugin, 0o755);
  const exec = { apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never", command: "./plugin" };
  const config = {
    clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1" } }],
    users: [{ name: "u", user: { exec } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  writeFileSync(file, JSON.stringify(config));
  const connection = kubeconfigConnection(file, options);
  onTestFinished(() => connection.close());
  const pids = () => (existsSync(pidFile) ? readFileSync(pidFile, "utf8").trim().split("\n").map(Number) : []);
  return { connection, pids };
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false; // it is gone
  }
}

/** Two processes that wait for ever. */
const WITH_CHILD = "echo $$ >>pids; sh -c 'echo $$ >>pids; exec sleep 1000' & wait";

test.each([
  { what: "that hangs", script: WITH_CHILD },
  { what: "that ignores SIGTERM", script: `trap '' TERM; ${WITH_CHILD}; wait; sleep 1000` },
])("a plugin $what is killed with its child when the connection is closed", async ({ script }) => {
  const { connection, pids } = pluginConnection(script);
  const asked = connection.credentials().catch((error: unknown) => error);
  await vi.waitFor(() => expect(pids().length).toBe(2), WAIT);

  connection.close();

  expect(await asked).toMatchObject({ reason: "credentials", message: expect.stringContaining("was killed") });
  await vi.waitFor(() => expect(pids().filter(isAlive)).toEqual([]), WAIT);
});

test("a plugin that has not ended for too long is killed, and the next who asks starts another", async () => {
  const { connection, pids } = pluginConnection(`${WITH_CHILD}`, { withinMs: 10_000, killedAfterMs: 300 });

  for (const runs of [1, 2]) {
    await expect(connection.credentials()).rejects.toMatchObject({ message: expect.stringContaining("was killed") });
    expect(pids().length).toBe(2 * runs);
  }

  await vi.waitFor(() => expect(pids().filter(isAlive)).toEqual([]), WAIT);
});

test("a plugin whose child keeps the output open is waited for, and ends with the connection", async () => {
  const { connection, pids } = pluginConnection(`echo $$ >>pids; sleep 1000 & echo $! >>pids; echo '${CREDENTIAL}'`, {
    withinMs: 200,
  });
  await expect(connection.credentials()).rejects.toMatchObject({ message: expect.stringContaining("has not ended") });

  connection.close();

  await vi.waitFor(() => expect(pids().filter(isAlive)).toEqual([]), WAIT);
});

test("a plugin that reads its standard input has its end at once, and one that writes without end is cut", async () => {
  const reads = pluginConnection(`cat >/dev/null; echo '${CREDENTIAL}'`);
  const floods = pluginConnection("yes | head -c 20000000");

  const { options } = await reads.connection.credentials();
  const failure = await floods.connection.credentials().catch((error: unknown) => error);

  expect(options.headers).toEqual({ authorization: "Bearer t" });
  expect(failure).toMatchObject({ message: expect.stringContaining("printed no") });
});
