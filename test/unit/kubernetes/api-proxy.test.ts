/** Which proxy stands before a server: Go's rules, which test/e2e/kubeconfig.test.ts holds against kubectl. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type ApiProxy, placeOf, proxyOf } from "../../../agent/kubernetes/api-proxy.ts";
import { serviceAccountConnection } from "../../../agent/kubernetes/connection.ts";
import { proxyAuthorization } from "../../../agent/kubernetes/tunnel.ts";

const PROXY = "http://proxy.test:3128";

function placed(server: string, env: NodeJS.ProcessEnv): string | undefined {
  const proxy = proxyOf(new URL(server), env);
  return proxy && `${placeOf(proxy)} by ${proxy.setting}`;
}

test.each([
  ["https://api.test", { HTTPS_PROXY: PROXY }, `${PROXY} by HTTPS_PROXY`],
  ["https://api.test", { https_proxy: PROXY }, `${PROXY} by https_proxy`],
  ["https://api.test", { HTTPS_PROXY: "http://a.test:1", https_proxy: PROXY }, "http://a.test:1 by HTTPS_PROXY"],
  ["https://api.test", { HTTPS_PROXY: "", https_proxy: PROXY }, `${PROXY} by https_proxy`],
  ["https://api.test", { HTTPS_PROXY: "anna:secret@proxy.test:3128" }, `${PROXY} by HTTPS_PROXY`],
  ["https://api.test", { HTTPS_PROXY: "socks5://proxy.test" }, "socks5://proxy.test by HTTPS_PROXY"],
  ["https://api.test", { HTTPS_PROXY: "http://pro xy" }, undefined],
  ["https://api.test", { HTTPS_PROXY: "http://anna:100%@proxy.test:3128" }, undefined],
  ["https://api.test", { HTTPS_PROXY: "http://anna:100%25@proxy.test:3128" }, `${PROXY} by HTTPS_PROXY`],
  ["https://api.test", { HTTP_PROXY: PROXY }, undefined],
  ["http://api.test", { HTTP_PROXY: PROXY }, `${PROXY} by HTTP_PROXY`],
  ["http://api.test", { HTTPS_PROXY: PROXY, ALL_PROXY: PROXY }, undefined],
  ["https://localhost:6443", { HTTPS_PROXY: PROXY }, undefined],
  ["https://127.3.4.5:6443", { HTTPS_PROXY: PROXY }, undefined],
  ["https://[::1]:6443", { HTTPS_PROXY: PROXY }, undefined],
] as const)("%s with %j: %s", (server, env, expected) => {
  expect(placed(server, env)).toBe(expected);
});

test.each([
  ["https://api.test", "api.test", false],
  ["https://api.test", "API.Test", false],
  ["https://api.test", "other.test, api.test", false],
  ["https://api.test", "test", false],
  ["https://api.test", ".test", false],
  ["https://api.test", "*.test", false],
  ["https://api.test", "*", false],
  ["https://api.test", "api.test:443", false],
  ["https://api.test", "api.test:6443", true],
  ["https://api.test", ".api.test", true],
  ["https://api.test", "pi.test", true],
  ["https://api.test", "", true],
  ["https://api.test", ",", true],
  ["https://api.test", "10.0.0.0/8", true],
  ["https://10.1.2.3", "10.0.0.0/8", false],
  ["https://10.1.2.3", "11.0.0.0/8", true],
  ["https://10.1.2.3", "10.0.0.0/99", true],
  ["https://10.1.2.3", "10.1.2.3", false],
  ["https://10.1.2.3:6443", "10.1.2.3:6443", false],
  ["https://10.1.2.3:6443", "10.1.2.3:443", true],
  ["https://10.1.2.3", ".2.3", true],
  ["https://[fd00::1]", "fd00::1", false],
  ["https://[fd00::1]:6443", "[fd00::1]:6443", false],
  ["https://[fd00::1]", "fd00::/8", false],
  ["https://[fd00::1]", "10.0.0.0/8", true],
] as const)("%s with NO_PROXY=%s goes through the proxy: %s", (server, noProxy, goes) => {
  expect(placed(server, { HTTPS_PROXY: PROXY, NO_PROXY: noProxy }) !== undefined).toBe(goes);
  expect(placed(server, { HTTPS_PROXY: PROXY, no_proxy: noProxy }) !== undefined).toBe(goes);
});

test("a proxy that speaks what nobody here does is refused by the variable's name, without its password", () => {
  const env = { HTTPS_PROXY: "socks4://anna:secret@proxy.test:1080" };

  expect(() => placed("https://api.test", env)).toThrow(/^HTTPS_PROXY names a proxy of another kind$/);
  expect(placed("https://api.test", { ...env, NO_PROXY: "api.test" })).toBe(undefined);
});

test("a pod goes through the proxy of its environment, too, unless the API server's address is exempt", async () => {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-pod-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const name of ["token", "ca.crt"]) writeFileSync(join(directory, name), name);
  const pod = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443", HTTPS_PROXY: PROXY };

  const through = await serviceAccountConnection(pod, directory).credentials();
  const straight = await serviceAccountConnection({ ...pod, NO_PROXY: "10.0.0.0/8" }, directory).credentials();

  expect([through.proxy?.setting, through.proxy?.bypass]).toEqual(["HTTPS_PROXY", "name 10.96.0.1 in NO_PROXY"]);
  expect(straight.proxy).toBe(undefined);
});

test.each([
  ["", undefined],
  ["anna@", "anna:"],
  ["anna:p%40ss%25@", "anna:p@ss%"],
  ["ann%C3%A4:ü@", "annä:ü"],
  ["anna:%C3%28@", Buffer.from("anna:\xc3(", "latin1")],
])("the user that %j names is told to the proxy byte by byte", (userinfo, expected) => {
  const proxy = proxyOf(new URL("https://api.test"), { HTTPS_PROXY: `http://${userinfo}proxy.test:3128` }) as ApiProxy;

  expect(proxyAuthorization(proxy)).toBe(expected && `Basic ${Buffer.from(expected).toString("base64")}`);
});
