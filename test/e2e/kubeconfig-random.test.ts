/**
 * Kubeconfigs of which each field is as one would write it, or broken, or not there, at random: kubectl's verdict is
 * ours, and servers and proxies see the same. FLOWSPAN_KUBECONFIGS says how many, FLOWSPAN_SEED makes a run again.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { kubeconfig } from "./kubeconfig-changes.ts";
import { askKubectl, askUs, makeWorld, type World } from "./kubeconfig-world.ts";

const RUNS = Number(process.env.FLOWSPAN_KUBECONFIGS ?? 23);
const SEED = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 2 ** 31);

/** What a field may be. The first choices are the likely ones: all broken at once would always fail. */
type Choices = Readonly<Record<string, (world: World) => readonly unknown[]>>;

const V1 = "client.authentication.k8s.io/v1";

const CLUSTER: Choices = {
  server: ({ secure, plain }) => [
    `https://127.0.0.1:${secure.port}`,
    `https://127.0.0.1:${secure.port}/base/`,
    `http://127.0.0.1:${plain.port}`,
    `https://api.test:${secure.port}`,
    `https://[::1]:${secure.port}`,
    `127.0.0.1:${plain.port}`,
  ],
  "certificate-authority": ({ path }) => ["ca.pem", undefined, path("ca.pem"), "other.pem", "garbage", ""],
  "certificate-authority-data": ({ data }) => [undefined, undefined, undefined, data("ca.pem"), data("garbage"), "?"],
  "insecure-skip-tls-verify": () => [undefined, undefined, undefined, false, true, "true"],
  "tls-server-name": () => [undefined, undefined, "localhost", "localhost", "api.test", ""],
  "proxy-url": ({ proxy, socks, tlsProxy }) => [
    undefined,
    undefined,
    `http://127.0.0.1:${proxy.port}`,
    `socks5://127.0.0.1:${socks.port}`,
    `https://a:b@127.0.0.1:${tlsProxy.port}`,
    "nonsense",
  ],
};

const EXEC = (command: string, more: object = {}) => ({
  ...{ apiVersion: V1, interactiveMode: "Never", command },
  ...more,
});

const USER: Choices = {
  token: () => ["token-23", undefined, undefined, undefined, " padded ", 23],
  tokenFile: ({ path }) => [undefined, undefined, "token", path("token"), "nowhere", "token-empty"],
  username: () => [undefined, undefined, undefined, undefined, "anna", ""],
  password: () => [undefined, undefined, undefined, undefined, "pass", ""],
  "client-certificate": () => [undefined, undefined, undefined, "client.pem", "client.pem", "nowhere"],
  "client-key": () => [undefined, "client.key", "client.key", "client.key", "server.key", ""],
  as: () => [undefined, undefined, "bea", "bea", "bea", ""],
  "as-groups": () => [undefined, undefined, undefined, ["dev"], ["dev", "ops"], []],
  "as-uid": () => [undefined, undefined, undefined, undefined, "23", ""],
  "as-user-extra": () => [undefined, undefined, undefined, undefined, { Why: ["a", "b"] }, {}],
  exec: () => [
    undefined,
    EXEC("./plain"),
    EXEC("./certificate", { provideClusterInfo: true }),
    EXEC("./plain", { provideClusterInfo: true, args: null, env: [{ name: "NAME", value: "x" }] }),
    EXEC("./fails"),
    EXEC("sh", { args: ["-c", "./plain"] }),
  ],
};

const ENVIRONMENT: Choices = {
  HTTPS_PROXY: ({ proxy, socks }) => [
    undefined,
    undefined,
    `http://127.0.0.1:${proxy.port}`,
    `socks5://127.0.0.1:${socks.port}`,
    `127.0.0.1:${proxy.port}`,
    "http://127.0.0.1:1",
  ],
  HTTP_PROXY: ({ plainProxy }) => [
    undefined,
    undefined,
    undefined,
    undefined,
    `http://127.0.0.1:${plainProxy.port}`,
    "",
  ],
  NO_PROXY: () => [undefined, undefined, "api.test", ".test", "127.0.0.0/8,other", "*"],
};

/** A number for each field: which of its six choices. */
const picks = (choices: Choices) =>
  fc.tuple(
    ...Object.keys(choices).map(() =>
      fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 5 }) }),
    ),
  );

function pick(choices: Choices, picked: readonly number[], world: World): Record<string, unknown> {
  const fields = Object.entries(choices).map(([name, of], i) => [name, of(world)[picked[i] ?? 0]]);
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined));
}

test(`a kubeconfig at random is taken or refused as kubectl does, and leads to the same requests (seed ${SEED})`, async () => {
  const world = await makeWorld();
  const all = fc.record({ cluster: picks(CLUSTER), user: picks(USER), env: picks(ENVIRONMENT) });
  let works = 0;

  const seen = fc.asyncProperty(all, async ({ cluster, user, env }) => {
    const given = {
      files: [kubeconfig(world, pick(CLUSTER, cluster, world), { token: undefined, ...pick(USER, user, world) })],
      env: pick(ENVIRONMENT, env, world) as Record<string, string>,
    };
    const theirs = await askKubectl(world, given);
    const ours = await askUs(world, given);
    // Without a word of who we are, kubectl asks the person before it; there is none, and we go on as nobody.
    if (/^error: EOF$/m.test(theirs.words)) return;
    if (theirs.verdict.works) works++;
    const words = { ours: ours.words, given };
    // What fails in several ways may run a plugin or open a tunnel before one of them is found. What is sent counts.
    const { asked, info } = theirs.verdict.works ? theirs.verdict : ours.verdict;
    expect({ ...ours.verdict, words }, theirs.words).toEqual({ ...theirs.verdict, asked, info, words });
  });
  await fc.assert(seen, { numRuns: RUNS, seed: SEED, endOnFailure: RUNS > 100 });

  expect(works).toBeGreaterThan(0);
}, 600_000);
