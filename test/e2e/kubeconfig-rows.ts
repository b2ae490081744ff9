/**
 * Kubeconfigs, each as one change of a plain one that works: what kubectl honours, what it refuses, and near misses.
 */
import { idToken } from "../unit/kubernetes/recording-proxies.ts";
import type { Kubeconfig, World } from "./kubeconfig-world.ts";

type Part = Readonly<Record<string, unknown>>;

export interface Row {
  readonly what: string;
  readonly make: (world: World) => Kubeconfig;
}

/** A plain kubeconfig with other parts: a null user means that the context names none. */
export function kubeconfig(world: World, cluster: Part = {}, user: Part | null = {}, more: Part = {}): object {
  const secure = { server: `https://127.0.0.1:${world.secure.port}`, "certificate-authority": "ca.pem" };
  return {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [{ name: "c", cluster: without({ ...secure, ...cluster }) }],
    users: user === null ? [] : [{ name: "u", user: without({ token: "token-23", ...user }) }],
    contexts: [{ name: "x", context: { cluster: "c", ...(user !== null && { user: "u" }) } }],
    ...more,
  };
}

/** A part that is set to undefined is not there. */
function without(part: Part): Part {
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}

const NO_TOKEN = { token: undefined };
const NO_CA = { "certificate-authority": undefined };

function change(
  what: string,
  cluster: Part | ((world: World) => Part),
  user: Part | ((world: World) => Part) = {},
): Row {
  const of = (part: Part | ((world: World) => Part), world: World) => (typeof part === "function" ? part(world) : part);
  return { what, make: (world) => ({ files: [kubeconfig(world, of(cluster, world), of(user, world))] }) };
}

const V1 = "client.authentication.k8s.io/v1";
const V1BETA1 = "client.authentication.k8s.io/v1beta1";

function plugin(what: string, exec: Part, cluster: Part | ((world: World) => Part) = {}): Row {
  const plain = { apiVersion: V1, interactiveMode: "Never", command: "./plain" };
  return change(`exec: ${what}`, cluster, { ...NO_TOKEN, exec: without({ ...plain, ...exec }) });
}

function text(what: string, rewrite: (text: string) => string): Row {
  return { what, make: (world) => ({ files: [rewrite(JSON.stringify(kubeconfig(world), undefined, 2))] }) };
}

function whole(what: string, more: Part): Row {
  return { what, make: (world) => ({ files: [kubeconfig(world, {}, {}, more)] }) };
}

function environment(
  what: string,
  cluster: Part | ((world: World) => Part),
  env: (world: World) => Record<string, string>,
): Row {
  return {
    what,
    make: (world) => ({
      files: [kubeconfig(world, typeof cluster === "function" ? cluster(world) : cluster)],
      env: env(world),
    }),
  };
}

/** Reached only through something that leads there; its certificate is for `localhost`. */
const AWAY = ({ secure }: World) => ({ server: `https://api.test:${secure.port}`, "tls-server-name": "localhost" });
const PLAIN_AWAY = ({ plain }: World) => ({ server: `http://api.test:${plain.port}`, ...NO_CA });

const oidc = (seconds: number, more: Part = {}) => ({
  name: "oidc",
  config: {
    ...{ "client-id": "flowspan", "client-secret": "s", "idp-issuer-url": "https://127.0.0.1:1" },
    ...{ "id-token": idToken(seconds), ...more },
  },
});

export const ROWS: readonly Row[] = [
  change("a token and a CA beside the kubeconfig", {}),
  change("a path below the kubeconfig's folder", { "certificate-authority": "elsewhere/../ca.pem" }),
  change("an absolute CA", (world) => ({ "certificate-authority": world.path("ca.pem") })),
  change("a CA as data", (world) => ({ ...NO_CA, "certificate-authority-data": world.data("ca.pem") })),
  change("a CA as data that is no base64", { ...NO_CA, "certificate-authority-data": "%%%" }),
  change("a CA as data and as file", (world) => ({ "certificate-authority-data": world.data("ca.pem") })),
  change("a CA of somebody else", { "certificate-authority": "other.pem" }),
  change("a CA that is not there", { "certificate-authority": "nowhere.pem" }),
  change("a CA that is a directory", { "certificate-authority": "elsewhere" }),
  change("a CA file without a certificate", { "certificate-authority": "garbage" }),
  change("no CA", NO_CA),
  change("no CA, and no check", { ...NO_CA, "insecure-skip-tls-verify": true }),
  change("a CA, and no check", { "insecure-skip-tls-verify": true }),
  change("no check, in quotes", { ...NO_CA, "insecure-skip-tls-verify": "true" }),
  change("a name that the certificate holds", { "tls-server-name": "localhost" }),
  change("a name that the certificate does not hold", { "tls-server-name": "api.test" }),
  change("an address that the certificate holds, for a name", ({ secure }) => ({
    ...{ server: `https://localhost:${secure.port}`, "tls-server-name": "127.0.0.1" },
  })),
  change("an address that the certificate does not hold, for a name", { "tls-server-name": "127.0.0.2" }),
  change("a server of another name", ({ secure }) => ({ server: `https://127.0.0.2:${secure.port}` })),
  change("a server with a path", ({ secure }) => ({ server: `https://127.0.0.1:${secure.port}/k8s/clusters/c-23/` })),
  change("a server with a query", ({ secure }) => ({ server: `https://127.0.0.1:${secure.port}/a?b=c` })),
  change("a server without TLS: credentials stay here", ({ plain }) => ({
    server: `http://127.0.0.1:${plain.port}`,
    ...NO_CA,
  })),
  change("a server without a scheme", ({ plain }) => ({ server: `127.0.0.1:${plain.port}`, ...NO_CA })),
  change("a server without TLS that has a CA", ({ plain }) => ({ server: `http://127.0.0.1:${plain.port}` })),
  change("TLS to a plain port", ({ plain }) => ({ server: `https://127.0.0.1:${plain.port}` })),
  change("plain to a TLS port", ({ secure }) => ({ server: `http://127.0.0.1:${secure.port}`, ...NO_CA })),
  change("no server", { server: undefined }),
  change("a server of another scheme", ({ secure }) => ({ server: `ftp://127.0.0.1:${secure.port}` })),
  change("nobody listens", { server: "https://127.0.0.1:1" }),

  change("a token with a line break", {}, { token: "a\nb" }),
  change("a token that is a number", {}, { token: 23 }),
  change("a tokenFile beside the kubeconfig", {}, { ...NO_TOKEN, tokenFile: "token" }),
  change("an absolute tokenFile", {}, (world) => ({ ...NO_TOKEN, tokenFile: world.path("token") })),
  change("a token and a tokenFile", {}, { tokenFile: "token" }),
  change("a token, and a tokenFile that is not there", {}, { tokenFile: "nowhere" }),
  change("a token, and a tokenFile that is empty", {}, { tokenFile: "token-empty" }),
  change("a tokenFile that is not there", {}, { ...NO_TOKEN, tokenFile: "nowhere" }),
  change("a tokenFile that is empty", {}, { ...NO_TOKEN, tokenFile: "token-empty" }),
  change("a token-file, which is no field", {}, { "token-file": "nowhere" }),
  change("user and password", {}, { ...NO_TOKEN, username: "anna", password: "pass:word" }),
  change("user, password and token", {}, { username: "anna", password: "p" }),
  change("a user, a tokenFile", {}, { ...NO_TOKEN, username: "anna", password: "p", tokenFile: "token" }),
  change("a password without a user, and a token", {}, { password: "p" }),
  change("a client certificate", {}, { ...NO_TOKEN, "client-certificate": "client.pem", "client-key": "client.key" }),
  change("a client certificate as data", {}, (world) => ({
    ...NO_TOKEN,
    "client-certificate-data": world.data("client.pem"),
    "client-key-data": world.data("client.key"),
  })),
  change("a client certificate, and a token", {}, { "client-certificate": "client.pem", "client-key": "client.key" }),
  change("a client certificate as data and as file", {}, (world) => ({
    ...{ "client-certificate": "client.pem", "client-key": "client.key" },
    "client-certificate-data": world.data("client.pem"),
  })),
  change(
    "a client certificate with another's key",
    {},
    { "client-certificate": "client.pem", "client-key": "server.key" },
  ),
  change("a client certificate without a key", {}, { "client-certificate": "client.pem" }),
  change("a key without a certificate", {}, { "client-key": "client.key" }),
  change("a client certificate that is not there", {}, { "client-certificate": "no.pem", "client-key": "client.key" }),
  change("somebody else", {}, { as: "bea" }),
  change(
    "somebody else, whole",
    {},
    {
      ...{ as: "bea", "as-uid": "23", "as-groups": ["dev", "ops"] },
      "as-user-extra": { Reason: ["a", "b"], "acme.com/key": ["%"] },
    },
  ),
  change("groups of nobody", {}, { "as-groups": ["dev"] }),
  change("a uid of nobody", {}, { "as-uid": "23" }),
  change("one group that is no list", {}, { as: "bea", "as-groups": "dev" }),
  change("somebody else, without TLS", ({ plain }) => ({ server: `http://127.0.0.1:${plain.port}`, ...NO_CA }), {
    as: "bea",
  }),

  change("an auth-provider of the past", {}, { ...NO_TOKEN, "auth-provider": { name: "gcp" } }),
  change("another one", {}, { ...NO_TOKEN, "auth-provider": { name: "azure" } }),
  change("an auth-provider that nobody knows", {}, { ...NO_TOKEN, "auth-provider": { name: "acme" } }),
  change("oidc with an id-token that is good", {}, () => ({ ...NO_TOKEN, "auth-provider": oidc(3600) })),
  change("oidc with an id-token that has expired", {}, () => ({ ...NO_TOKEN, "auth-provider": oidc(-3600) })),

  change("oidc with an id-token that does not say how long", {}, () => ({
    ...{ ...NO_TOKEN, "auth-provider": oidc(0, { "id-token": "e30.e30.c2ln" }) },
  })),
  change("oidc whose provider is away", {}, () => ({
    ...{ ...NO_TOKEN, "auth-provider": oidc(-3600, { "refresh-token": "refresh-1" }) },
  })),

  plugin("beside the kubeconfig", {}),
  plugin("in PATH", { command: "sh", args: ["-c", '"$0"', "./plain"] }),
  plugin("v1beta1", { apiVersion: V1BETA1, command: "./beta", interactiveMode: undefined }),
  plugin("v1 without an interactiveMode", { interactiveMode: undefined }),
  plugin("IfAvailable, with nobody there", { interactiveMode: "IfAvailable" }),
  plugin("Always, with nobody there", { interactiveMode: "Always" }),
  plugin("an interactiveMode that is none", { interactiveMode: "never" }),
  plugin("an apiVersion that is gone", { apiVersion: "client.authentication.k8s.io/v1alpha1" }),
  plugin("no apiVersion", { apiVersion: undefined }),
  plugin("an answer in another apiVersion", { command: "./beta" }),
  plugin(
    "the cluster's information",
    { provideClusterInfo: true },
    {
      extensions: [{ name: "client.authentication.k8s.io/exec", extension: { audience: "flowspan", n: [1] } }],
    },
  ),
  plugin("the cluster's information, with all that it can hold", { provideClusterInfo: true }, ({ proxy, data }) => ({
    ...{ "tls-server-name": "localhost", "proxy-url": `http://127.0.0.1:${proxy.port}`, "disable-compression": true },
    ...{ ...NO_CA, "certificate-authority-data": data("ca.pem") },
  })),
  plugin(
    "the cluster's information, without a check",
    { provideClusterInfo: true },
    {
      ...NO_CA,
      "insecure-skip-tls-verify": true,
    },
  ),
  plugin("that reads its standard input to the end", { command: "./stdin" }),
  plugin("arguments and variables", {
    command: "./arguments",
    args: ["a", "b c"],
    env: [{ name: "NAME", value: "n" }],
  }),
  plugin("a variable without a name", { env: [{ name: "", value: "n" }] }),
  plugin("a client certificate", { command: "./certificate" }),
  plugin("a certificate without a key", { command: "./certificate-alone" }),
  plugin("a token of the past", { command: "./expired" }),
  plugin("no credential", { command: "./empty" }),
  plugin("no status", { command: "./no-status" }),
  plugin("no kind", { command: "./no-kind" }),
  plugin("YAML", { command: "./yaml" }),
  plugin("words", { command: "./words" }),
  plugin("a token that is a number", { command: "./number" }),
  plugin("that fails", { command: "./fails" }),
  plugin("that is not there", { command: "./nowhere", installHint: "install it" }),
  plugin("that is not in PATH", { command: "flowspan-no-such-plugin" }),
  plugin("that is no program", { command: "./token" }),
  plugin("no command", { command: undefined }),
  change("an exec plugin and a token", {}, { exec: { apiVersion: V1, interactiveMode: "Never", command: "./plain" } }),
  change(
    "an exec plugin and a client certificate",
    {},
    {
      ...{ ...NO_TOKEN, "client-certificate": "client.pem", "client-key": "client.key" },
      exec: { apiVersion: V1, interactiveMode: "Never", command: "./plain" },
    },
  ),
  change(
    "an exec plugin and user and password",
    {},
    {
      ...{ ...NO_TOKEN, username: "anna", password: "p" },
      exec: { apiVersion: V1, interactiveMode: "Never", command: "./plain" },
    },
  ),
  change(
    "an exec plugin and an auth-provider",
    {},
    {
      ...{ ...NO_TOKEN, "auth-provider": { name: "oidc" } },
      exec: { apiVersion: V1, interactiveMode: "Never", command: "./plain" },
    },
  ),
  change("an exec plugin without TLS", ({ plain }) => ({ server: `http://127.0.0.1:${plain.port}`, ...NO_CA }), {
    ...{ ...NO_TOKEN, exec: { apiVersion: V1, interactiveMode: "Never", command: "./plain" } },
  }),

  change("a proxy-url", ({ proxy }) => ({ "proxy-url": `http://127.0.0.1:${proxy.port}` })),
  change("a proxy-url with a password", ({ proxy }) => ({ "proxy-url": `http://anna:p%40ss@127.0.0.1:${proxy.port}` })),
  change("a proxy-url over TLS", ({ tlsProxy }) => ({ "proxy-url": `https://127.0.0.1:${tlsProxy.port}` })),
  change("a proxy-url of SOCKS 5", ({ socks }) => ({ "proxy-url": `socks5://127.0.0.1:${socks.port}` })),
  change("a proxy-url without a scheme", ({ proxy }) => ({ "proxy-url": `127.0.0.1:${proxy.port}` })),
  change("a proxy-url of another scheme", ({ proxy }) => ({ "proxy-url": `socks4://127.0.0.1:${proxy.port}` })),
  change("a proxy-url where nobody listens", { "proxy-url": "http://127.0.0.1:1" }),
  change("a proxy-url that leads to a name", (world) => ({
    ...AWAY(world),
    "proxy-url": `http://127.0.0.1:${world.proxy.port}`,
  })),
  change("a proxy-url of SOCKS 5 that leads to a name", (world) => ({
    ...AWAY(world),
    "proxy-url": `socks5://127.0.0.1:${world.socks.port}`,
  })),
  change("a proxy-url of SOCKS 5 that leads to an address of version 6", ({ secure, socks }) => ({
    ...{ server: `https://[fd00::23]:${secure.port}`, "tls-server-name": "localhost" },
    "proxy-url": `socks5://127.0.0.1:${socks.port}`,
  })),
  change("a proxy-url that leads to an address of version 6", ({ secure, proxy }) => ({
    ...{ server: `https://[fd00::23]:${secure.port}`, "tls-server-name": "localhost" },
    "proxy-url": `http://127.0.0.1:${proxy.port}`,
  })),
  change("a proxy-url, without TLS", (world) => ({
    ...PLAIN_AWAY(world),
    "proxy-url": `http://127.0.0.1:${world.plainProxy.port}`,
  })),
  environment("HTTPS_PROXY", AWAY, ({ proxy }) => ({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` })),
  environment("https_proxy", AWAY, ({ proxy }) => ({ https_proxy: `http://127.0.0.1:${proxy.port}` })),
  environment("HTTPS_PROXY without a scheme", AWAY, ({ proxy }) => ({ HTTPS_PROXY: `127.0.0.1:${proxy.port}` })),
  environment("HTTPS_PROXY with a password", AWAY, ({ proxy }) => ({
    HTTPS_PROXY: `http://a:b@127.0.0.1:${proxy.port}`,
  })),
  environment("HTTPS_PROXY of SOCKS 5", AWAY, ({ socks }) => ({ HTTPS_PROXY: `socks5://127.0.0.1:${socks.port}` })),
  environment("HTTPS_PROXY, and a server on loopback", {}, () => ({ HTTPS_PROXY: "http://127.0.0.1:1" })),
  environment("HTTP_PROXY does not count for https", AWAY, ({ proxy }) => ({
    HTTP_PROXY: `http://127.0.0.1:${proxy.port}`,
  })),
  environment("HTTP_PROXY, without TLS", PLAIN_AWAY, ({ plainProxy }) => ({
    HTTP_PROXY: `http://127.0.0.1:${plainProxy.port}`,
  })),
  ...["api.test", ".test", "test", "*", "other.test, API.test", "pi.test", "api.test:1", "*.test", "10.0.0.0/8"].map(
    (noProxy) =>
      environment(`HTTPS_PROXY and NO_PROXY=${noProxy}`, AWAY, ({ proxy }) => ({
        HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
        NO_PROXY: noProxy,
      })),
  ),
  environment(
    "HTTPS_PROXY and NO_PROXY, and a proxy-url",
    (world) => ({ ...AWAY(world), "proxy-url": `http://127.0.0.1:${world.proxy.port}` }),
    () => ({ HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "*" }),
  ),

  whole("no current-context", { "current-context": "" }),
  whole("a current-context that is not there", { "current-context": "y" }),
  whole("a context whose cluster is not there", { contexts: [{ name: "x", context: { cluster: "d", user: "u" } }] }),
  whole("a context whose user is not there", { contexts: [{ name: "x", context: { cluster: "c", user: "v" } }] }),
  whole("a context without a cluster", { contexts: [{ name: "x", context: { user: "u" } }] }),
  whole("a name that stands twice", {
    contexts: ["c", "d"].map((cluster) => ({ name: "x", context: { cluster, user: "u" } })),
  }),
  whole("another kind", { kind: "Pod" }),
  whole("neither kind nor apiVersion", { kind: undefined, apiVersion: undefined }),
  whole("a field that nobody knows", { colour: "red", preferences: {} }),
  whole("a broken entry that nobody uses", {
    users: [
      { name: "u", user: { token: "t" } },
      { name: "v", user: { token: 23 } },
    ],
  }),
  whole("an empty entry that nobody uses", { users: [{ name: "u", user: { token: "t" } }, { name: "v" }] }),
  whole("a list that is none", { users: "u" }),
  text("no YAML", () => "clusters: [\n  - {"),
  text("nothing", () => ""),
  text("a list", () => "[]"),
  text("two documents, of which the first counts", (json) => `${json}\n---\nkind: Pod\n`),
  text("a key that stands twice", (json) => json.replace('"kind": "Config"', '"kind": "Config", "kind": "Config"')),
  text("yes for true", (json) => json.replace('"certificate-authority": "ca.pem"', '"insecure-skip-tls-verify": yes')),
  text("a token that looks like a date", (json) => json.replace('"token-23"', "2024-01-01")),
  text("a token that looks like a time", (json) => json.replace('"token-23"', "12:30:45")),
  {
    what: "two files: the first wins, also with its current-context",
    make: (world) => ({
      files: [
        kubeconfig(world, {}, { token: "first" }),
        kubeconfig(world, { server: "https://127.0.0.1:1" }, { token: "second" }, { "current-context": "y" }),
      ],
    }),
  },
  {
    what: "two files: each has a half",
    make: (world) => ({
      files: [
        { "current-context": "x", contexts: [{ name: "x", context: { cluster: "c", user: "u" } }] },
        kubeconfig(world, {}, {}, { contexts: [] }),
      ],
    }),
  },
  {
    what: "two files of which one is no YAML",
    make: (world) => ({ files: [kubeconfig(world), "users: ["] }),
  },
  {
    what: "two files of which one is empty",
    make: (world) => ({ files: ["", kubeconfig(world)] }),
  },
];
