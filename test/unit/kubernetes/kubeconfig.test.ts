/**
 * What a kubeconfig holds: ordinary ones as the Kubernetes client reads them, and any text at all without a crash and
 * without a word of what is in it.
 */
import { KubeConfig } from "@kubernetes/client-node";
import fc from "fast-check";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { ApiFailure } from "../../../agent/kubernetes/failure.ts";
import { mergeKubeconfigs, readKubeconfig } from "../../../agent/kubernetes/kubeconfig.ts";
import { chooseCurrent } from "../../../agent/kubernetes/kubeconfig-choice.ts";

const data = (text: string) => Buffer.from(text).toString("base64");

/** Nothing but what the client honours, too. */
const ORDINARY = {
  apiVersion: "v1",
  kind: "Config",
  "current-context": "two",
  clusters: [
    { name: "a", cluster: { server: "https://a.test:6443", "certificate-authority": "ca.crt" } },
    {
      name: "b",
      cluster: {
        ...{ server: "https://b.test:6443/base", "certificate-authority-data": data("ca"), "tls-server-name": "b" },
        "proxy-url": "http://proxy.test:3128",
      },
    },
  ],
  users: [
    { name: "u", user: { token: "t" } },
    { name: "v", user: { "client-certificate-data": data("cert"), "client-key": "keys/v.key", as: "bea" } },
    { name: "w", user: { username: "anna", password: "p" } },
  ],
  contexts: [
    { name: "one", context: { cluster: "a", user: "u", namespace: "shop" } },
    { name: "two", context: { cluster: "b", user: "v" } },
    { name: "three", context: { cluster: "a", user: "w" } },
  ],
};

test.each(["one", "two", "three"])(
  "the parts of an ordinary kubeconfig are those that the Kubernetes client finds: %s",
  (context) => {
    const text = stringify({ ...ORDINARY, "current-context": context });
    const client = new KubeConfig();
    client.loadFromString(text);
    client.makePathsAbsolute("/etc/kube");
    const [theirCluster, theirUser] = [client.getCurrentCluster(), client.getCurrentUser()];

    const { cluster, user } = chooseCurrent(readKubeconfig("/etc/kube/config", text), "/etc/kube/config");

    const bytes = (base64: string | null | undefined) => Buffer.from(base64 ?? "", "base64");
    expect(cluster).toMatchObject({
      server: theirCluster?.server,
      caFile: theirCluster?.caFile ?? "",
      caData: bytes(theirCluster?.caData),
      tlsServerName: theirCluster?.tlsServerName ?? "",
      proxyUrl: theirCluster?.proxyUrl ?? "",
      insecure: theirCluster?.skipTLSVerify,
    });
    expect(user).toMatchObject({
      token: theirUser?.token ?? "",
      certFile: theirUser?.certFile ?? "",
      certData: bytes(theirUser?.certData),
      keyFile: theirUser?.keyFile ?? "",
      keyData: bytes(theirUser?.keyData),
      username: theirUser?.username ?? "",
      password: theirUser?.password ?? "",
      as: theirUser?.impersonateUser ?? "",
    });
  },
);

test("of several files the first that has a name or a current context wins", () => {
  const file = (path: string, context: string, token: string) =>
    readKubeconfig(
      path,
      stringify({
        ...{ "current-context": context, users: [{ name: "u", user: { token, tokenFile: "token" } }] },
        contexts: [{ name: token, context: { cluster: "c", user: "u" } }],
      }),
    );

  const merged = mergeKubeconfigs([file("/a/config", "", "first"), file("/b/config", "second", "second")]);

  expect(merged.currentContext).toBe("second");
  expect([...merged.contexts.keys()].sort()).toEqual(["first", "second"]);
  expect(merged.users.get("u")).toMatchObject({ token: "first", tokenFile: "/a/token" });
});

/** Stands for every value; a message may hold names of fields, and of entries that it has to name. */
const SECRET = "s3cr3t";
const FIELDS = [
  ...[
    "clusters",
    "users",
    "contexts",
    "current-context",
    "apiVersion",
    "kind",
    "name",
    "cluster",
    "user",
    "exec",
    "env",
  ],
  ...["server", "token", "tokenFile", "certificate-authority-data", "client-key-data", "args", "command", "as-groups"],
  ...["as-user-extra", "auth-provider", "config", "extensions", "insecure-skip-tls-verify", "__proto__", "x"],
];
const NAMED = new Set(["name", "cluster", "user", "current-context"]);

const tree = fc.letrec((tie) => ({
  node: fc.oneof({ depthSize: "medium" }, tie("leaf"), tie("group"), fc.array(tie("node"), { maxLength: 3 })),
  leaf: fc.constantFrom<unknown>(SECRET, 23, true, null, `${SECRET}\n`, "u"),
  group: fc
    .dictionary(fc.constantFrom(...FIELDS), tie("node"), { maxKeys: 6 })
    .map((group) =>
      Object.fromEntries(Object.entries(group).map(([name, value]) => [name, NAMED.has(name) ? plain(value) : value])),
    ),
}));

function plain(value: unknown): unknown {
  return typeof value === "string" ? "u" : value;
}

function judge(text: string): void {
  try {
    chooseCurrent(readKubeconfig("/etc/kube/config", text), "/etc/kube/config");
  } catch (error) {
    expect(error).toBeInstanceOf(ApiFailure);
    const { words, remedy } = error as ApiFailure;
    expect(remedy).not.toBe(undefined);
    expect(words).toContain("/etc/kube/config");
    expect(words).not.toContain(SECRET);
  }
}

test("a kubeconfig of any shape is read, or refused by the name of a field and without a value", () => {
  fc.assert(
    fc.property(tree.node, (value) => judge(stringify(value))),
    { numRuns: 500 },
  );
});

test("a kubeconfig of any text is read, or refused without a line of it", () => {
  const text = fc.string({
    unit: fc.constantFrom(..."ab:-[]{}\n \t\"'&*!|>%@`#,?$~0.", SECRET, "users", "token: "),
    maxLength: 60,
  });

  fc.assert(fc.property(text, judge), { numRuns: 1_000 });
});
