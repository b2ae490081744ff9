/** Credentials are read anew for every connect. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { inCluster, kubeconfigConnection, serviceAccountConnection } from "../../../agent/kubernetes/connection.ts";

async function directory(files: Readonly<Record<string, string>>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "flowspan-connection-"));
  onTestFinished(() => rm(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
}

const ENV = { KUBERNETES_SERVICE_HOST: "fd00:96::1", KUBERNETES_SERVICE_PORT: "443" };

test("a pod is told by its environment", () => {
  expect([inCluster(ENV), inCluster({}), inCluster({ KUBERNETES_SERVICE_HOST: "10.96.0.1" })]).toEqual([
    true,
    false,
    false,
  ]);
});

test("a service account's token and CA count as they are now", async () => {
  const path = await directory({ token: "first\n", "ca.crt": "CA 1" });
  const connection = serviceAccountConnection(ENV, path);
  const first = await connection.credentials();

  await writeFile(join(path, "token"), "second\n");
  await writeFile(join(path, "ca.crt"), "CA 2");
  const second = await connection.credentials();

  expect(first).toEqual({
    server: new URL("https://[fd00:96::1]:443"),
    options: { ca: "CA 1", headers: { authorization: "Bearer first" } },
  });
  expect(second.options).toEqual({ ca: "CA 2", headers: { authorization: "Bearer second" } });
});

test("a service account that cannot be read is a failure of its own kind that names the file", async () => {
  const path = await directory({ "ca.crt": "CA" });

  await expect(serviceAccountConnection(ENV, path).credentials()).rejects.toMatchObject({
    reason: "credentials",
    message: `cannot read ${join(path, "token")}`,
  });
});

function kubeconfig(token: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:6443" } }],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
}

test("a kubeconfig counts as it is now", async () => {
  const path = join(await directory({ config: kubeconfig("first") }), "config");
  const connection = kubeconfigConnection(path);
  const first = await connection.credentials();

  await writeFile(path, kubeconfig("second"));
  const second = await connection.credentials();

  expect(first.server.href).toBe("https://127.0.0.1:6443/");
  expect([first, second].map(({ options }) => options.headers)).toEqual([
    { Authorization: "Bearer first" },
    { Authorization: "Bearer second" },
  ]);
});

test.each(["not: [yaml", "{}", "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"])(
  "a kubeconfig that is %j is a failure of its own kind",
  async (text) => {
    const path = join(await directory({ config: text }), "config");

    await expect(kubeconfigConnection(path).credentials()).rejects.toMatchObject({ reason: "credentials" });
  },
);

test("a token from an exec plugin is asked for again once the server refused it", async () => {
  const path = await directory({});
  const plugin = join(path, "plugin.js");
  const count = join(path, "count");
  await writeFile(count, "");
  await writeFile(
    plugin,
    `const { appendFileSync, readFileSync } = require("node:fs");
     appendFileSync(${JSON.stringify(count)}, "x");
     const token = "token-" + readFileSync(${JSON.stringify(count)}, "utf8").length;
     console.log(JSON.stringify({ kind: "ExecCredential", status: { token } }));`,
  );
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: process.execPath, args: [plugin] };
  const config = JSON.parse(kubeconfig(""));
  config.users[0].user = { exec };
  await writeFile(join(path, "config"), JSON.stringify(config));
  const connection = kubeconfigConnection(join(path, "config"));
  const header = async () => ((await connection.credentials()).options.headers as Record<string, string>).Authorization;

  const tokens = [await header(), await header()];
  connection.refused();
  tokens.push(await header());

  expect(tokens).toEqual(["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
});
