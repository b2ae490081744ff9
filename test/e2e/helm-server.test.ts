/**
 * What Helm and kustomize render, before a real kube-apiserver: each object is one that it takes, with no field that it does
 * not know, and Pod Security says of each pod which of its rules it breaks.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { socketsWithin } from "../../agent/model/probe-memory.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { configsOf, kustomize, nameOf, readConfig, render } from "./chart.ts";
import { adminToken, apply, type Manifest, send } from "./manifests.ts";

const ROOT = join(import.meta.dirname, "../..");
const GOLDEN = join(ROOT, "test/golden/helm");
const OVERLAYS = readdirSync(join(ROOT, "deploy/overlays")).sort();
const VALUES = readdirSync(GOLDEN).filter((file) => file.endsWith(".values.yaml"));

let kube: Kube;
beforeAll(async () => {
  kube = await startKube();
  for (const [name, level] of [
    ["flowspan", "privileged"],
    ["baseline", "baseline"],
    ["restricted", "restricted"],
  ] as const)
    await created(namespace(name, level));
  await created(
    (await kustomize("deploy/manifests")).find(({ kind }) => kind === "PriorityClass") ??
      namespace("never", "privileged"),
  );
});
afterAll(() => kube?.stop());

function namespace(name: string, level: string): Manifest {
  const labels = { "pod-security.kubernetes.io/enforce": level };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } as Manifest["metadata"] };
}

async function created(object: Manifest): Promise<void> {
  const { status, body } = await apply(kube, object, { dryRun: false });
  if (status >= 300) throw new Error(`${nameOf(object)}: ${status} ${body}`);
}

/** What the API server has against objects in a dry run. */
async function complaints(objects: readonly Manifest[]): Promise<string[]> {
  const answers = await Promise.all(
    objects.map(async (object) => ({ object, answer: await apply(kube, object, { dryRun: true }) })),
  );
  return answers.flatMap(({ object, answer }) =>
    answer.status < 300 ? [] : [`${nameOf(object)}: ${answer.status} ${answer.body}`],
  );
}

test.each(VALUES)("the server takes each object that the chart renders with %s", async (file) => {
  const objects = await render(parse(readFileSync(join(GOLDEN, file), "utf8")) as object);

  expect(objects.length).toBeGreaterThan(0);
  expect(await complaints(objects)).toEqual([]);
});

test.each([...OVERLAYS.map((name) => `deploy/overlays/${name}`), "deploy/manifests", "deploy/manifests/uninstall"])(
  "the server takes each object of %s",
  async (path) => {
    const objects = await kustomize(path);

    expect(objects.length).toBeGreaterThan(0);
    expect(await complaints(objects)).toEqual([]);
  },
);

test("a field that the server does not know is a complaint", async () => {
  const [object] = (await render()).filter(({ kind }) => kind === "DaemonSet");
  const spec = { ...(object?.spec as object), replicas: 2 };

  expect(await complaints([{ ...object, spec } as Manifest])).toEqual([expect.stringContaining("replicas")]);
});

describe("each overlay's configuration is that of deploy/manifests, but for what it is about", () => {
  const service = { "otlp.endpoint": "http://otel-collector.observability:4317" };
  const tls = {
    "otlp.endpoint": "https://otel-collector.observability:4317",
    "otlp.caFile": "/etc/flowspan-otlp/ca.crt",
  };
  const directory = {
    "kubernetes.metadata": "directory",
    "directory.addresses": ["flowspan-directory.flowspan.svc:9483"],
    "directory.caFile": "/etc/flowspan-directory/ca.crt",
    "directory.tokenFile": "/etc/flowspan-directory/token",
  };

  test.each([
    ["collector-service", service],
    ["large-cluster", { ...service, ...directory }],
    [
      "mutual-tls",
      { ...tls, "otlp.certFile": "/etc/flowspan-otlp/tls.crt", "otlp.keyFile": "/etc/flowspan-otlp/tls.key" },
    ],
    ["small-cluster", { ...service, "budget.flows": 2000 }],
    ["tls", tls],
  ])("%s", async (name, difference) => {
    const base = await readConfig(configsOf(await kustomize("deploy/manifests")).get("flowspan") ?? "");
    const configs = configsOf(await kustomize(`deploy/overlays/${name}`));
    const { complaints: found, values } = await readConfig(configs.get("flowspan") ?? "");

    expect([found, values]).toEqual([[], { ...base.values, ...difference }]);
    for (const text of configs.values()) expect((await readConfig(text)).complaints).toEqual([]);
    expect(OVERLAYS).toContain(name);
  });
});

test("the small cluster's probe has room for 20,000 open sockets beside its edges", async () => {
  const probe = (await kustomize("deploy/overlays/small-cluster")).find(
    (each) => nameOf(each) === "DaemonSet/flowspan-probe",
  ) as Manifest & Template;
  const [container] = probe.spec.template.spec.containers;
  const edges = container?.args?.find((each) => each.startsWith("--edges="))?.slice("--edges=".length);
  const limit = /^(\d+)Mi$/.exec(container?.resources?.limits?.memory ?? "")?.[1];

  for (const storage of ["in the socket", "by address"] as const) {
    expect(socketsWithin(Number(limit) * (1 << 20), Number(edges), storage)).toBeGreaterThan(20_000);
  }
});

interface Template {
  readonly spec: {
    readonly template: {
      readonly metadata: object;
      readonly spec: {
        readonly containers: readonly {
          readonly args?: readonly string[];
          readonly resources?: { readonly limits?: { readonly memory?: string } };
        }[];
      };
    };
  };
}

describe("Pod Security", () => {
  /** @returns the rules of a level that the pods of a workload break, as the server's admission names them */
  async function broken(level: string, object: Manifest): Promise<string[]> {
    const { metadata, spec } = (object as Manifest & Template).spec.template;
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name: "pod" }, spec };
    const path = `/api/v1/namespaces/${level}/pods?dryRun=All&fieldValidation=Strict`;
    const { status, body } = await send(kube, adminToken(kube), "POST", path, pod);
    if (status === 201) return [];
    const { message } = JSON.parse(body) as { message: string };
    const [, rules] = /violates PodSecurity "[^"]+": (.*)$/.exec(message) ?? [];
    if (rules === undefined) throw new Error(message);
    // Rules have their place in parentheses, in which commas stand too.
    return rules.split(/, (?![^(]*\))/);
  }

  const HOST = [
    "host namespaces (hostPID=true)",
    'hostPath volumes (volumes "run", "bpf", "cgroup")',
    'restricted volume types (volumes "run", "bpf", "cgroup" use restricted volume type "hostPath")',
  ];
  const added = (rule: string, container: string, ...names: string[]) =>
    `${rule} (container "${container}" must not include ${names.map((name) => `"${name}"`).join(", ")} in securityContext.capabilities.add)`;
  const asRoot = (container: string) => [
    `runAsNonRoot != true (pod or container "${container}" must set securityContext.runAsNonRoot=true)`,
    `runAsUser=0 (container "${container}" must not set runAsUser=0)`,
  ];
  const volume = (name: string) => [
    `hostPath volumes (volume "${name}")`,
    `restricted volume types (volume "${name}" uses restricted volume type "hostPath")`,
  ];

  test.each([
    ["Deployment/flowspan-directory", "restricted", []],
    ["DaemonSet/flowspan", "baseline", [volume("probe")[0]]],
    ["DaemonSet/flowspan", "restricted", [volume("probe")[1]]],
    [
      "DaemonSet/flowspan-probe",
      "baseline",
      [HOST[0], HOST[1], added("non-default capabilities", "probe", "BPF", "PERFMON")],
    ],
    [
      "DaemonSet/flowspan-probe",
      "restricted",
      [
        HOST[0],
        HOST[2],
        ...asRoot("probe"),
        added("unrestricted capabilities", "probe", "BPF", "PERFMON", "SETGID", "SETUID"),
      ],
    ],
    ["DaemonSet/flowspan-uninstall", "baseline", [volume("bpf")[0], added("non-default capabilities", "unpin", "BPF")]],
    [
      "DaemonSet/flowspan-uninstall",
      "restricted",
      [volume("bpf")[1], ...asRoot("unpin"), added("unrestricted capabilities", "unpin", "BPF")],
    ],
  ] as const)("%s breaks of %s what deploy/manifests/README.md says", async (name, level, expected) => {
    const objects = [
      ...(await kustomize("deploy/overlays/large-cluster")),
      ...(await kustomize("deploy/manifests/uninstall")),
    ];
    const object = objects.find((each) => nameOf(each) === name) as Manifest;

    const found = (await broken(level, object)).sort();

    expect(found).toEqual(expected);
  });
});
