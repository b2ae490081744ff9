/**
 * Whatever is wrong with a kubeconfig or on the way to its server: the message says what, the remedy names the setting
 * or the field, and neither holds a secret.
 */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { serviceAccountConnection } from "../../../agent/kubernetes/connection.ts";
import { ApiFailure } from "../../../agent/kubernetes/failure.ts";
import { kubeconfigConnection } from "../../../agent/kubernetes/kubeconfig-connection.ts";
import { get } from "../../../agent/kubernetes/request.ts";
import { type FakeApiServer, fixedAnswer } from "../../kubernetes/fake-api-server.ts";
import { type Certificates, certificates } from "../directory/serving.ts";
import { type RecordingProxy, startAnswering, startProxy, startSocks } from "./recording-proxies.ts";

/** Stands wherever a secret may be; no message may hold it. */
const SECRET = "s3cr3t-0123456789-abcdefghij";

interface World {
  readonly tls: Certificates;
  readonly secure: FakeApiServer;
  readonly plain: FakeApiServer;
  readonly proxy: RecordingProxy;
  readonly socks: RecordingProxy;
}

interface Given {
  readonly cluster?: Readonly<Record<string, unknown>>;
  readonly user?: Readonly<Record<string, unknown>>;
  readonly text?: string;
  readonly path?: string;
  readonly env?: NodeJS.ProcessEnv;
}

interface Row {
  readonly what: string;
  readonly given: (world: World) => Given;
  readonly reason: string;
  /** All of them stand in message and remedy together. */
  readonly says: readonly string[];
}

async function makeWorld(): Promise<World> {
  const tls = certificates();
  for (const name of ["server", "client"]) tls.make(name);
  tls.makeCa("other");
  mkdirSync(tls.path("directory"));
  writeFileSync(tls.path("no-certificate"), SECRET);
  const secure = await startAnswering(tls);
  const proxy = await startProxy(secure.port);
  return { tls, secure, proxy, plain: await startAnswering(), socks: await startSocks(secure.port, "anna:right") };
}

function plugin(script: string, exec: object = {}) {
  return ({ tls }: World): Given => {
    writeFileSync(tls.path("plugin"), `#!/bin/sh\n${script}\n`);
    chmodSync(tls.path("plugin"), 0o755);
    const apiVersion = "client.authentication.k8s.io/v1";
    return { user: { exec: { apiVersion, interactiveMode: "Never", command: "./plugin", ...exec } } };
  };
}

const AWAY = ({ secure }: World) => ({ server: `https://api.test:${secure.port}`, "tls-server-name": "localhost" });

const ROWS: readonly Row[] = [
  {
    what: "a kubeconfig that is not there",
    given: ({ tls }) => ({ path: tls.path("nowhere") }),
    reason: "credentials",
    says: ["/nowhere: there is none", "kubernetes.kubeconfig (--kubeconfig)"],
  },
  {
    what: "a kubeconfig that is a directory",
    given: ({ tls }) => ({ path: tls.path("directory") }),
    reason: "credentials",
    says: ["/directory: it is a directory", "kubernetes.kubeconfig"],
  },
  {
    what: "a kubeconfig that is no YAML, with a secret in the bad line",
    given: () => ({ text: `apiVersion: v1\nusers:\n- name: u\n  user: { token: ${SECRET}\n` }),
    reason: "credentials",
    says: ["config is no YAML", "at line 5, column 1"],
  },
  {
    what: "a token that is a number",
    given: () => ({ user: { token: 1234567890123 } }),
    reason: "credentials",
    says: ["config: users[0].user.token is a number, and must be text", "put it in quotes"],
  },
  {
    what: "a token with a line break",
    given: () => ({ user: { token: `${SECRET}\n` } }),
    reason: "credentials",
    says: ['the token of user "u" in ', "no header", "one line"],
  },
  {
    what: "a tokenFile that is a directory",
    given: () => ({ user: { tokenFile: "directory" } }),
    reason: "credentials",
    says: ["/directory: it is a directory", 'tokenFile of user "u" in '],
  },
  {
    what: "a current-context that is not there",
    given: () => ({ text: '{"current-context": "y", "contexts": [{"name": "x"}]}' }),
    reason: "credentials",
    says: ['current-context "y" is not among', 'kubectl config use-context NAME, one of: "x"'],
  },
  {
    what: "a CA without a certificate",
    given: () => ({ cluster: { "certificate-authority": "no-certificate" } }),
    reason: "credentials",
    says: ['certificate-authority of cluster "c" in ', "holds no PEM certificate", "as PEM"],
  },
  {
    what: "a certificate with another's key",
    given: () => ({ user: { "client-certificate": "client.pem", "client-key": "server.key" } }),
    reason: "credentials",
    says: ['client-certificate and client-key of user "u" in ', "do not belong together"],
  },
  {
    what: "an auth-provider of the past",
    given: () => ({ user: { "auth-provider": { name: "gcp", config: { "access-token": SECRET } } } }),
    reason: "credentials",
    says: ['auth-provider gcp of user "u" in ', "gke-gcloud-auth-plugin"],
  },
  {
    what: "oidc that cannot be renewed",
    given: () => ({
      user: {
        "auth-provider": {
          name: "oidc",
          config: {
            "id-token": `e30.${Buffer.from('{"exp":1}').toString("base64url")}.${SECRET}`,
            "refresh-token": SECRET,
          },
        },
      },
    }),
    reason: "credentials",
    says: ['auth-provider oidc of user "u" in ', "log in again"],
  },
  {
    what: "an exec plugin that is missing",
    given: plugin("", { command: "flowspan-no-such-plugin", installHint: "apt install acme-login" }),
    reason: "credentials",
    says: ['exec plugin flowspan-no-such-plugin of user "u" in ', "is not in PATH", "apt install acme-login"],
  },
  {
    what: "an exec plugin that may not be run",
    given: ({ tls }) => {
      const given = plugin("exit 0")({ tls } as World);
      chmodSync(tls.path("plugin"), 0o644);
      return given;
    },
    reason: "credentials",
    says: ["may not be run", "executable for the agent's user"],
  },
  {
    what: "an exec plugin that fails, with a secret in its last words",
    given: plugin(`echo first >&2; echo 'session of https://anna:pass@idp.test is over: ${SECRET}' >&2; exit 3`),
    reason: "credentials",
    says: [
      "failed with exit code 3: session of https://[redacted]@idp.test is over: [redacted]",
      "as the agent's user",
    ],
  },
  {
    what: "an exec plugin that prints what is no JSON",
    given: plugin(`echo 'token: [${SECRET}'`),
    reason: "credentials",
    says: ["printed no JSON", "run it by hand"],
  },
  {
    what: "an exec plugin that waits",
    given: plugin("exec sleep 30"),
    reason: "credentials",
    says: ["has not ended within 300 ms", "does it wait for input? It has none here"],
  },
  {
    what: "an exec plugin that always wants to ask a person",
    given: plugin("exit 0", { interactiveMode: "Always" }),
    reason: "credentials",
    says: ["always wants to ask a person", "set exec.interactiveMode"],
  },
  {
    what: "a server that is away",
    given: () => ({ cluster: { server: "https://127.0.0.1:1" }, user: { token: SECRET } }),
    reason: "refused",
    says: ["ECONNREFUSED", 'server of cluster "c" in ', "says https://127.0.0.1:1"],
  },
  {
    what: "a server whose name nobody knows",
    given: () => ({ cluster: { server: "https://flowspan.invalid:6443" }, user: { token: SECRET } }),
    reason: "network",
    says: ['server of cluster "c" in ', "says https://flowspan.invalid:6443", "DNS"],
  },
  {
    what: "an own CA that nobody named",
    given: () => ({ cluster: { "certificate-authority": undefined }, user: { token: SECRET } }),
    reason: "certificate",
    says: ["write the CA that signed", 'into certificate-authority of cluster "c" in '],
  },
  {
    what: "a wrong CA",
    given: () => ({ cluster: { "certificate-authority": "other.pem" }, user: { token: SECRET } }),
    reason: "certificate",
    says: ["write the CA that signed", 'into certificate-authority of cluster "c" in '],
  },
  {
    what: "a certificate of another name",
    given: () => ({ cluster: { "tls-server-name": "api.test" } }),
    reason: "certificate",
    says: ["api.test", 'set tls-server-name of cluster "c" in '],
  },
  {
    what: "TLS to a plain port",
    given: ({ plain }) => ({ cluster: { server: `https://127.0.0.1:${plain.port}` }, user: { token: SECRET } }),
    reason: "certificate",
    says: ["does not speak TLS", "write http:// there", 'server of cluster "c" in '],
  },
  {
    what: "plain HTTP to a TLS port",
    given: ({ secure }) => ({ cluster: { server: `http://127.0.0.1:${secure.port}` }, user: { token: SECRET } }),
    reason: "closed",
    says: ["write https://", 'server of cluster "c" in '],
  },
  {
    what: "plain HTTP to a TLS port of a Go server",
    given: ({ plain }) => {
      plain.answering = fixedAnswer(400, "Client sent an HTTP request to an HTTPS server.\n");
      return { cluster: { server: `http://127.0.0.1:${plain.port}` } };
    },
    reason: "rejected",
    says: ["does not speak plain HTTP", "write https:// in", 'server of cluster "c" in '],
  },
  {
    what: "401",
    given: ({ secure }) => {
      secure.answering = fixedAnswer(401, '{"kind":"Status","message":"Unauthorized"}');
      return { user: { token: SECRET } };
    },
    reason: "unauthorized",
    says: ["status 401: Unauthorized (list pods)", 'does not take token of user "u" in ', "renew it"],
  },
  {
    what: "403",
    given: ({ secure }) => {
      secure.answering = fixedAnswer(
        403,
        '{"message":"pods is forbidden: User \\"anna\\" cannot list resource \\"pods\\" in API group \\"\\""}',
      );
      return { user: { token: SECRET } };
    },
    reason: "forbidden",
    says: ['cannot list resource "pods"', "kubectl auth can-i list pods --as=anna", "deploy/manifests"],
  },
  {
    what: "403 that says nothing",
    given: ({ secure }) => {
      secure.answering = fixedAnswer(403, "<html>no</html>");
      return { user: { token: SECRET } };
    },
    reason: "forbidden",
    says: ["(list pods)", "kubectl auth can-i list pods"],
  },
  {
    what: "a server that says what it was sent",
    given: ({ secure }) => {
      secure.answering = fixedAnswer(400, `bad header: Authorization: Bearer ${SECRET}`);
      return { user: { token: SECRET } };
    },
    reason: "rejected",
    says: ["status 400: bad header: Authorization: Bearer [redacted]"],
  },
  {
    what: "a proxy that is away, with a password in its URL",
    given: (world) => ({
      cluster: AWAY(world),
      user: { token: SECRET },
      env: { HTTPS_PROXY: `http://anna:${SECRET}@127.0.0.1:1` },
    }),
    reason: "proxy",
    says: ["the proxy http://127.0.0.1:1 (HTTPS_PROXY): connect ECONNREFUSED", "name api.test in NO_PROXY"],
  },
  {
    what: "a proxy that wants a password",
    given: (world) => {
      world.proxy.status = 407;
      return { cluster: { ...AWAY(world), "proxy-url": `http://127.0.0.1:${world.proxy.port}` } };
    },
    reason: "proxy",
    says: ["status 407", 'the proxy\'s user and password into proxy-url of cluster "c" in '],
  },
  {
    what: "a proxy that does not let us through",
    given: (world) => {
      world.proxy.status = 403;
      return { cluster: AWAY(world), env: { https_proxy: `http://127.0.0.1:${world.proxy.port}` } };
    },
    reason: "proxy",
    says: ["(https_proxy) answers status 403", "name api.test in NO_PROXY"],
  },
  {
    what: "a SOCKS proxy with another password",
    given: (world) => ({
      cluster: { ...AWAY(world), "proxy-url": `socks5://anna:${SECRET}@127.0.0.1:${world.socks.port}` },
    }),
    reason: "proxy",
    says: ["answers status 407", "proxy-url"],
  },
  {
    what: "a proxy that speaks something else",
    given: (world) => ({ cluster: { ...AWAY(world), "proxy-url": `socks5://127.0.0.1:${world.plain.port}` } }),
    reason: "proxy",
    says: ["(proxy-url of cluster", "does not speak SOCKS 5"],
  },
];

async function failureOf(world: World, { cluster, user, text, path, env = {} }: Given): Promise<ApiFailure> {
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [
      {
        name: "c",
        cluster: { server: `https://127.0.0.1:${world.secure.port}`, "certificate-authority": "ca.pem", ...cluster },
      },
    ],
    users: [{ name: "u", user: user ?? { token: SECRET } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  };
  writeFileSync(world.tls.path("config"), text ?? JSON.stringify(config));
  const options = { env: { PATH: process.env.PATH, ...env }, withinMs: 300 };
  const connection = kubeconfigConnection(path ?? world.tls.path("config"), options);
  onTestFinished(() => connection.close());
  const signal = new AbortController().signal;
  const failure = await get(connection, { path: "/api/v1/pods", query: {}, silenceMs: 2_000, signal }).then(
    () => "it worked",
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(ApiFailure);
  return failure as ApiFailure;
}

test.each(ROWS)(
  "$what: the message names the setting and what to do, and no secret",
  async ({ given, reason, says }) => {
    const world = await makeWorld();

    const failure = await failureOf(world, given(world));

    expect(failure.words).not.toContain(SECRET);
    expect({
      reason: failure.reason,
      words: failure.words,
      missing: says.filter((part) => !failure.words.includes(part)),
    }).toEqual({
      reason,
      words: failure.words,
      missing: [],
    });
    // What a server refuses for reasons of its own is told in its words.
    expect(failure.remedy !== undefined || reason === "rejected").toBe(true);
  },
);

test("a server that accepts and says nothing is said to be swallowed on the way", async () => {
  const silent = createServer((socket) => onTestFinished(() => void socket.destroy())).listen(0, "127.0.0.1");
  onTestFinished(() => void silent.close());
  await new Promise((resolve) => silent.once("listening", resolve));
  const { port } = silent.address() as { port: number };
  const world = await makeWorld();

  const failure = await failureOf(world, { cluster: { server: `https://127.0.0.1:${port}` } });

  expect([failure.reason, failure.words]).toEqual([
    "silent",
    `no answer to the request for 2000 ms; does a firewall or NetworkPolicy swallow what goes to https://127.0.0.1:${port}?`,
  ]);
});

test("a pod's service account that the server does not take is named by its file", async () => {
  const world = await makeWorld();
  world.secure.answering = fixedAnswer(401, "{}");
  writeFileSync(world.tls.path("token"), SECRET);
  const env = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(world.secure.port) };
  copyFileSync(world.tls.path("ca.pem"), world.tls.path("ca.crt"));
  const connection = serviceAccountConnection(env, world.tls.path("."));
  const asked = {
    path: "/api/v1/pods",
    query: { watch: "true" },
    silenceMs: 2_000,
    signal: new AbortController().signal,
  };

  const failure = await get(connection, asked).catch((error: unknown) => error as ApiFailure);

  expect(failure).toMatchObject({ reason: "unauthorized", remedy: expect.stringContaining(world.tls.path("token")) });
  expect((failure as ApiFailure).message).toContain("(watch pods)");
});
