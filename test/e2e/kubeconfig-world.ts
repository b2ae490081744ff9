/**
 * What a kubeconfig meets in a test: servers that keep who came, proxies before them, and files beside it. Then the
 * same kubeconfig asked by kubectl and by us: whether it works, and all that the servers saw.
 */
import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { kubeconfigConnection } from "../../agent/kubernetes/kubeconfig-connection.ts";
import { get } from "../../agent/kubernetes/request.ts";
import { component } from "../components/find.ts";
import type { FakeApiServer } from "../kubernetes/fake-api-server.ts";
import { type Certificates, certificates } from "../unit/directory/serving.ts";
import {
  type RecordingProxy,
  startAnswering,
  startIssuer,
  startProxy,
  startSocks,
} from "../unit/kubernetes/recording-proxies.ts";

export interface World {
  readonly tls: Certificates;
  readonly secure: FakeApiServer;
  readonly plain: FakeApiServer;
  readonly proxy: RecordingProxy;
  readonly tlsProxy: RecordingProxy;
  readonly plainProxy: RecordingProxy;
  readonly socks: RecordingProxy;
  /** An OpenID provider: `https://127.0.0.1:PORT`. */
  readonly issuer: string;
  readonly directory: string;
  /** Beside the kubeconfig. */
  readonly path: (name: string) => string;
  /** A file beside the kubeconfig, as base64. */
  readonly data: (name: string) => string;
}

/** Certificates, tokens and plugins lie where the kubeconfig does. */
export async function makeWorld(): Promise<World> {
  const tls = certificates();
  for (const name of ["server", "client"]) tls.make(name);
  tls.makeCa("other");
  const secure = await startAnswering(tls);
  const plain = await startAnswering();
  const directory = tls.path("");
  for (const [name, text] of Object.entries(FILES)) writeFileSync(tls.path(name), text);
  for (const [name, script] of Object.entries(PLUGINS)) {
    writeFileSync(tls.path(name), `#!/bin/sh\n${script}\n`);
    chmodSync(tls.path(name), 0o755);
  }
  mkdirSync(tls.path("elsewhere"));
  return {
    ...{ tls, secure, plain, directory, path: tls.path },
    proxy: await startProxy(secure.port),
    tlsProxy: await startProxy(secure.port, tls),
    plainProxy: await startProxy(plain.port),
    socks: await startSocks(secure.port),
    issuer: await startIssuer(tls),
    data: (name) => readFileSync(tls.path(name)).toString("base64"),
  };
}

const FILES = {
  token: "token-of-file-23\n",
  "token-empty": "\n",
  garbage: "no certificate\n",
} as const;

const CREDENTIAL = (version: string, status: string) =>
  `{"apiVersion":"client.authentication.k8s.io/${version}","kind":"ExecCredential","status":${status}}`;
const KEEP = `printf '%s' "$KUBERNETES_EXEC_INFO" >"$(dirname "$0")/info"`;

const PLUGINS = {
  plain: `${KEEP}\necho '${CREDENTIAL("v1", '{"token":"token-of-plugin"}')}'`,
  beta: `${KEEP}\necho '${CREDENTIAL("v1beta1", '{"token":"token-of-plugin"}')}'`,
  stdin: `cat >/dev/null\necho '${CREDENTIAL("v1", '{"token":"token-of-plugin"}')}'`,
  arguments: `echo '${CREDENTIAL("v1", '{"token":"\'"$*-$NAME"\'"}')}'`,
  certificate: `cd "$(dirname "$0")"
pem() { awk '{printf "%s\\\\n", $0}' "$1"; }
echo '${CREDENTIAL("v1", '{"clientCertificateData":"\'"$(pem client.pem)"\'","clientKeyData":"\'"$(pem client.key)"\'"}')}'`,
  "certificate-alone": `echo '${CREDENTIAL("v1", '{"clientCertificateData":"x"}')}'`,
  expired: `echo '${CREDENTIAL("v1", '{"token":"old","expirationTimestamp":"2020-01-01T00:00:00Z"}')}'`,
  empty: `echo '${CREDENTIAL("v1", "{}")}'`,
  "no-status": `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}'`,
  "no-kind": `echo '{"status":{"token":"x"}}'`,
  yaml: `printf 'apiVersion: client.authentication.k8s.io/v1\\nkind: ExecCredential\\nstatus:\\n  token: token-of-yaml\\n'`,
  fails: "echo no session for token-abcdefghijklmnop-0123456789 >&2; exit 3",
  words: "echo hello",
  number: `echo '${CREDENTIAL("v1", '{"token":23}')}'`,
} as const;

export interface Kubeconfig {
  /** Of one file, or of several that are merged. */
  readonly files: readonly (object | string)[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Verdict {
  readonly works: boolean;
  readonly secure: FakeApiServer["requests"];
  readonly plain: FakeApiServer["requests"];
  readonly asked: RecordingProxy["asked"];
  /** KUBERNETES_EXEC_INFO, where a plugin kept it. */
  readonly info: unknown;
}

const PATH = "/api/v1/namespaces/kube-system";

/** Not in the verdict: the words are each program's own. */
export interface Answer {
  readonly verdict: Verdict;
  readonly words: string;
}

export async function askKubectl(world: World, kubeconfig: Kubeconfig): Promise<Answer> {
  return observe(world, kubeconfig, async (paths, env) => {
    const args = ["get", "--raw", PATH];
    const options = { env: { ...env, KUBECONFIG: paths }, cwd: world.path("elsewhere"), timeout: 20_000 };
    const running = promisify(execFile)(component("kubectl"), args, options);
    running.child.stdin?.end();
    await running;
  });
}

export async function askUs(world: World, kubeconfig: Kubeconfig): Promise<Answer> {
  return observe(world, kubeconfig, async (paths, env) => {
    const connection = kubeconfigConnection(paths, { env, withinMs: 10_000 });
    const stop = new AbortController();
    try {
      const answer = await get(connection, { path: PATH, query: {}, silenceMs: 5_000, signal: stop.signal });
      answer.on("error", () => undefined).destroy();
    } finally {
      stop.abort();
      connection.close();
    }
  });
}

async function observe(
  world: World,
  { files, env }: Kubeconfig,
  ask: (paths: string, env: Record<string, string>) => Promise<void>,
): Promise<Answer> {
  const { secure, plain } = world;
  const proxies = [world.proxy, world.tlsProxy, world.plainProxy, world.socks];
  const info = world.path("info");
  rmSync(info, { force: true });
  for (const { requests } of [secure, plain]) requests.length = 0;
  for (const { asked } of proxies) asked.length = 0;
  const paths = files.map((content, i) => {
    const path = join(world.directory, `config-${i}`);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  });
  let words = "";
  try {
    const base = { PATH: process.env.PATH ?? "", HOME: world.path("elsewhere") };
    await ask(paths.join(":"), { ...base, ...env });
  } catch (error) {
    words = "words" in (error as object) ? (error as { words: string }).words : String(error);
  }
  const verdict = {
    works: words === "",
    secure: [...secure.requests],
    plain: [...plain.requests],
    asked: proxies.flatMap(({ asked }) => asked),
    info: existsSync(info) ? JSON.parse(readFileSync(info, "utf8")) : undefined,
  };
  return { verdict, words };
}
