/** Credentials are read anew for every connect. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Connection, inCluster, serviceAccountConnection } from "../../../agent/kubernetes/connection.ts";
import { kubeconfigConnection } from "../../../agent/kubernetes/kubeconfig-connection.ts";

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

  expect(first).toMatchObject({
    server: new URL("https://[fd00:96::1]:443"),
    options: { ca: "CA 1", headers: { authorization: "Bearer first" } },
    proxy: undefined,
  });
  expect(second.options).toEqual({ ca: "CA 2", headers: { authorization: "Bearer second" } });
});

test("a service account that cannot be read is a failure of its own kind that names the file", async () => {
  const path = await directory({ "ca.crt": "CA" });

  await expect(serviceAccountConnection(ENV, path).credentials()).rejects.toMatchObject({
    reason: "credentials",
    message: `cannot read ${join(path, "token")}: there is none`,
    remedy: expect.stringContaining("automountServiceAccountToken"),
  });
});

test("a service account's token that is empty is a failure of its own kind, not a request without a name", async () => {
  const path = await directory({ token: "\n", "ca.crt": "CA" });

  await expect(serviceAccountConnection(ENV, path).credentials()).rejects.toMatchObject({
    reason: "credentials",
    message: `${join(path, "token")} is empty`,
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
    { authorization: "Bearer first" },
    { authorization: "Bearer second" },
  ]);
});

test.each(["not: [yaml", "{}", "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"])(
  "a kubeconfig that is %j is a failure of its own kind",
  async (text) => {
    const path = join(await directory({ config: text }), "config");

    await expect(kubeconfigConnection(path).credentials()).rejects.toMatchObject({ reason: "credentials" });
  },
);

/**
 * A kubeconfig whose user is an exec plugin. Each run adds a letter to a file; `answer` is the text of a function
 * from the number of the run to what it prints.
 */
async function execPlugin(answer: string) {
  const path = await directory({ count: "" });
  const count = join(path, "count");
  const plugin = join(path, "plugin.js");
  await writeFile(
    plugin,
    `const { appendFileSync, readFileSync } = require("node:fs");
     appendFileSync(${JSON.stringify(count)}, "x");
     const run = readFileSync(${JSON.stringify(count)}, "utf8").length;
     let said = (${answer})(run);
     if (said?.status) said = { apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", ...said };
     if (said !== undefined) console.log(typeof said === "string" ? said : JSON.stringify(said));`,
  );
  const exec = {
    ...{ apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never" },
    ...{ command: process.execPath, args: [plugin] },
  };
  const config = JSON.parse(kubeconfig(""));
  config.users[0].user = { exec };
  await writeFile(join(path, "config"), JSON.stringify(config));
  return { path: join(path, "config"), runs: () => readFileSync(count, "utf8").length };
}

const headerOf = async (connection: Connection) =>
  ((await connection.credentials()).options.headers as Record<string, string>).authorization;

test("a token from an exec plugin is asked for again once the server refused it", async () => {
  const { path } = await execPlugin('(run) => ({ kind: "ExecCredential", status: { token: "token-" + run } })');
  const connection = kubeconfigConnection(path);

  const tokens = [await headerOf(connection), await headerOf(connection)];
  connection.refused();
  tokens.push(await headerOf(connection));

  expect(tokens).toEqual(["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
});

test("a token from an exec plugin is asked for again once its time is over", async () => {
  const { path, runs } = await execPlugin(
    `(run) => ({ kind: "ExecCredential", status: {
       token: "token-" + run, expirationTimestamp: new Date(Date.now() + 400).toISOString() } })`,
  );
  const connection = kubeconfigConnection(path);

  const tokens = [await headerOf(connection), await headerOf(connection)];
  await vi.waitFor(async () => expect(await headerOf(connection)).toBe("Bearer token-2"), { timeout: 30_000 });

  expect([tokens, runs()]).toEqual([["Bearer token-1", "Bearer token-1"], 2]);
});

test("watches that connect at once ask an exec plugin once", async () => {
  const { path, runs } = await execPlugin('(run) => ({ status: { token: "token-" + run } })');
  const connection = kubeconfigConnection(path);

  const tokens = await Promise.all(Array.from({ length: 6 }, () => headerOf(connection)));

  expect([new Set(tokens), runs()]).toEqual([new Set(["Bearer token-1"]), 1]);
});

test.each([
  { what: "fails", first: "process.exit(1)" },
  { what: "prints nothing", first: "undefined" },
  { what: "prints what is no JSON", first: '"<html>"' },
  { what: "prints what is no credential", first: "{}" },
  { what: "is killed", first: 'process.kill(process.pid, "SIGKILL")' },
])("an exec plugin that $what the first time is a failure of its own kind, and run again", async ({ first }) => {
  const { path } = await execPlugin(`(run) => run === 1 ? ${first} : { status: { token: "token-" + run } }`);
  const connection = kubeconfigConnection(path);

  await expect(connection.credentials()).rejects.toMatchObject({ reason: "credentials" });

  expect(await headerOf(connection)).toBe("Bearer token-2");
});

test.each([
  { what: "no token", status: {}, says: "gave neither a token nor a client certificate with its key" },
  { what: "an empty token", status: { token: "" }, says: "gave neither a token nor a client certificate with its key" },
  {
    what: "a certificate without its key",
    status: { clientCertificateData: "PEM" },
    says: "gave a certificate or a key, not both",
  },
  { what: "a number for a token", status: { token: 23 }, says: "gave what is no text" },
])("an exec plugin that gives $what is a failure that says so, and run again", async ({ status, says }) => {
  const { path } = await execPlugin(
    `(run) => ({ status: run === 1 ? ${JSON.stringify(status)} : { token: "token-" + run } })`,
  );
  const connection = kubeconfigConnection(path);

  await expect(connection.credentials()).rejects.toMatchObject({
    reason: "credentials",
    message: `exec plugin ${process.execPath} of user "u" in ${path} (kubernetes.kubeconfig) ${says}`,
  });

  expect(await headerOf(connection)).toBe("Bearer token-2");
});

test("an exec plugin that hangs is a failure each time, never runs twice, and is believed when it ends", async () => {
  const { path, runs } = await execPlugin(
    '(run) => { const end = Date.now() + 2000; while (Date.now() < end); return { status: { token: "late" } }; }',
  );
  const connection = kubeconfigConnection(path, { withinMs: 100 });

  const late = {
    reason: "credentials",
    message: expect.stringMatching(/^exec plugin .* has not ended within 100 ms$/),
  };
  await expect(connection.credentials()).rejects.toMatchObject(late);
  await expect(connection.credentials()).rejects.toMatchObject(late);
  await vi.waitFor(async () => expect(await headerOf(connection)).toBe("Bearer late"), { timeout: 30_000 });

  expect(runs()).toBe(1);
});
