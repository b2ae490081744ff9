/** Whatever is wrong on the way to an API server: the message says what, the remedy names the setting, and neither holds a secret. */
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { serviceAccountConnection } from "../../../agent/kubernetes/connection.ts";
import type { ApiFailure } from "../../../agent/kubernetes/failure.ts";
import { get } from "../../../agent/kubernetes/request.ts";
import { fixedAnswer } from "../../kubernetes/fake-api-server.ts";
import { expectSaid, failureOf, makeWorld, type Row, SECRET, type World } from "./failing-kubeconfigs.ts";

const AWAY = ({ secure }: World) => ({ server: `https://api.test:${secure.port}`, "tls-server-name": "localhost" });

const ROWS: readonly Row[] = [
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

test.each(ROWS)("$what: the message names the setting and what to do, and no secret", expectSaid);

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
