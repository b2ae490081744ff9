/** Files that a setting may name by mistake or design: good, missing, empty, of another kind. Some hold a secret. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificates } from "../unit/tls/certificates.ts";
import type { Fixtures } from "./situations.ts";

export interface FixtureFiles extends Disposable {
  readonly paths: Fixtures;
  /** What stands in the files and must not be printed. */
  readonly secret: string;
  readonly directory: string;
}

export function makeFixtures(): FixtureFiles {
  const made = makeCertificates();
  const directory = mkdtempSync(join(tmpdir(), "flowspan-hostile-"));
  const secret = "F1leS3cr3t0123456789abcdef";
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  mkdirSync(join(directory, "folder"));
  const user = { name: "u", user: { token: secret, password: secret, username: "x" } };
  const cluster = {
    name: "c",
    cluster: { server: `https://user:${secret}@127.0.0.1:1`, "proxy-url": `http://u:${secret}@127.0.0.1:1` },
  };
  const context = { name: "x", context: { cluster: "c", user: "u" } };
  const kubeconfig = { clusters: [cluster], users: [user], contexts: [context], "current-context": "x" };
  const asUser = (more: object) => JSON.stringify({ ...kubeconfig, users: [{ name: "u", user: more }] });
  const plugin = (script: string) =>
    asUser({
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "sh",
        args: ["-c", script],
        interactiveMode: "Never",
      },
    });
  const credential = JSON.stringify({ kind: "ExecCredential", status: { token: `${secret}\n${secret}` } });
  return {
    directory,
    secret,
    paths: [
      ...["ca.pem", "server.pem", "server.key", "client.pem", "client.key"].map((name) => made.path(name)),
      ...["/nowhere/file", join(directory, "folder"), "/dev/null", "relative.pem"],
      file("empty", ""),
      file("token", `${secret}\n`),
      file("broken.pem", `-----BEGIN CERTIFICATE-----\n${secret}\n-----END CERTIFICATE-----\n`),
      file("broken.key", `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`),
      file("kubeconfig", JSON.stringify(kubeconfig)),
      file("kubeconfig.list", asUser({ token: [secret], "client-key-data": secret })),
      file("kubeconfig.pem", asUser({ "client-certificate-data": secret, "client-key-data": secret })),
      file("kubeconfig.token", asUser({ token: `${secret}\n${secret}ä` })),
      file("kubeconfig.says", plugin(`echo ${secret}; exit 1`)),
      file("kubeconfig.no-json", plugin(`echo "{ ${secret}"`)),
      file("kubeconfig.two-lines", plugin(`echo '${credential}'`)),
      file("kubeconfig.user", JSON.stringify({ ...kubeconfig, users: secret })),
      file("kubeconfig.broken", `clusters: [\n  ${secret}: {`),
    ],
    [Symbol.dispose]() {
      made[Symbol.dispose]();
      rmSync(directory, { recursive: true });
    },
  };
}
