/**
 * The blocks of docs/install.md, as somebody copies them, against a real API server: `sh` is run, `yaml` becomes the file that its first
 * line names. `console` needs an engine, a registry or a kubelet and is left out.
 *
 * Controllers and kubelets are not there: `Cluster` says of each DaemonSet that it runs, and ends namespaces.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { component } from "../components/find.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import type { ApiObject } from "../kubernetes/kubernetes-objects.ts";
import { adminToken, apply, type Manifest, send } from "./manifests.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/install.md"), "utf8");
const BLOCK_MS = 60_000;

interface Block {
  readonly section: string;
  readonly language: string;
  readonly text: string;
}

const BLOCKS: readonly Block[] = PAGE.split(/^## /m)
  .slice(1)
  .flatMap((section) =>
    [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
      section: section.split("\n")[0] ?? "",
      language,
      text,
    })),
  );

/** What controllers and kubelets would do, every 100 ms until it is stopped. */
class Cluster {
  readonly #kube: Kube;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;

  constructor(kube: Kube) {
    this.#kube = kube;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      for (const daemonSet of await this.items("/apis/apps/v1/daemonsets")) await this.#rollOut(daemonSet);
      for (const namespace of await this.items("/api/v1/namespaces")) await this.#finalize(namespace);
      await sleep(100);
    }
  }

  async items(path: string): Promise<ApiObject[]> {
    const { body } = await send(this.#kube, adminToken(this.#kube), "GET", path);
    const {
      items = [],
      apiVersion,
      kind,
    } = JSON.parse(body) as { items?: ApiObject[]; apiVersion: string; kind: string };
    return items.map((item) => ({ ...item, apiVersion, kind: kind.replace(/List$/, "") }));
  }

  async #rollOut(daemonSet: ApiObject): Promise<void> {
    const { generation, namespace, name } = daemonSet.metadata as unknown as Record<string, string>;
    const pods = { desiredNumberScheduled: 1, currentNumberScheduled: 1, numberMisscheduled: 0 };
    const ready = { updatedNumberScheduled: 1, numberAvailable: 1, numberReady: 1, observedGeneration: generation };
    const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}/status`;
    const type = "application/merge-patch+json";
    // It may be gone by now.
    await send(this.#kube, adminToken(this.#kube), "PATCH", path, { status: { ...pods, ...ready } }, type);
  }

  async #finalize(namespace: ApiObject): Promise<void> {
    if (!("deletionTimestamp" in namespace.metadata)) return;
    const path = `/api/v1/namespaces/${namespace.metadata.name}/finalize`;
    await send(this.#kube, adminToken(this.#kube), "PUT", path, { ...namespace, spec: { finalizers: [] } });
  }
}

let kube: Kube;
let cluster: Cluster;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(ROOT, "build/install-"));
  symlinkSync(join(ROOT, "deploy"), join(directory, "deploy"));
  mkdirSync(join(directory, "bin"));
  for (const name of ["helm", "kubectl"] as const) symlinkSync(component(name), join(directory, "bin", name));
  kube = await startKube();
  await apply(kube, prometheusRules(), { dryRun: false });
  cluster = new Cluster(kube);
});
afterAll(async () => {
  await cluster?.stop();
  await kube?.stop();
  if (directory !== undefined) rmSync(directory, { recursive: true });
});

/** The kind that the Prometheus Operator brings, with any content. */
function prometheusRules(): Manifest {
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "prometheusrules.monitoring.coreos.com" },
    spec: {
      group: "monitoring.coreos.com",
      scope: "Namespaced",
      names: { kind: "PrometheusRule", plural: "prometheusrules", singular: "prometheusrule" },
      versions: [{ name: "v1", served: true, storage: true, schema }],
    },
  };
}

/** Runs a block, or writes the file that it is. @throws Error with what the commands said */
async function play({ language, text }: Block): Promise<void> {
  if (language === "sh") await command(text);
  if (language !== "yaml") return;
  const [, file] = /^# (\S+)\n/.exec(text) ?? [];
  if (file === undefined) throw new Error(`a block of YAML does not begin with the name of its file:\n${text}`);
  mkdirSync(dirname(join(directory, file)), { recursive: true });
  writeFileSync(join(directory, file), text);
}

/** Of the chart's notes: what needs no kubelet, and makes nothing that the page has made already. */
function commandsOf(notes: string): string[] {
  const lines = notes.split("\n").filter((line) => line.startsWith("    kubectl"));
  return lines.map((line) => line.trim()).filter((line) => !/ exec | create secret /.test(line));
}

/** @returns what it said on stdout */
async function command(script: string): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${join(directory, "bin")}:${process.env.PATH}`,
    KUBECONFIG: kube.kubeconfig,
    HELM_CACHE_HOME: directory,
    HELM_CONFIG_HOME: directory,
    HELM_DATA_HOME: directory,
  };
  const options = { cwd: directory, env, timeout: BLOCK_MS };
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], options);
  return stdout;
}

const sectionOf = (name: string) => BLOCKS.filter(({ section }) => section === name);

/** Names of all that is ours in the cluster. */
async function ours(): Promise<string[]> {
  const core = ["configmaps", "secrets", "serviceaccounts", "services"].map((kind) => `/api/v1/${kind}`);
  const groups = [
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/monitoring.coreos.com/v1/prometheusrules",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/policy/v1/poddisruptionbudgets",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
  ];
  const lists = await Promise.all([...core, ...groups].map((path) => cluster.items(path)));
  const named = lists.flat().filter(({ metadata }) => /flowspan|otlp/.test(`${metadata.namespace} ${metadata.name}`));
  return named.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
}

/** Images of workloads that the page has pushed to no registry. */
async function foreignImages(): Promise<string[]> {
  const lists = await Promise.all(
    ["daemonsets", "deployments"].map((kind) => cluster.items(`/apis/apps/v1/namespaces/flowspan/${kind}`)),
  );
  const specs = lists.flat() as unknown as { spec: { template: { spec: { containers: { image: string }[] } } } }[];
  const images = specs.flatMap(({ spec }) => spec.template.spec.containers.map(({ image }) => image));
  if (images.length === 0) throw new Error("no pods");
  return images.filter((image) => !PAGE.includes(`docker push ${image}\n`));
}

test("every section of the page is played, or has no command", () => {
  const played = [
    "The namespace and the key of trace ids",
    "With Helm",
    "With kustomize",
    "Does it work?",
    "Uninstall",
  ];
  const withCommands = BLOCKS.filter(({ language }) => language === "sh" || language === "yaml");

  expect([...new Set(withCommands.map(({ section }) => section))]).toEqual(played);
  expect([...new Set(BLOCKS.map(({ language }) => language))].sort()).toEqual(["console", "sh", "yaml"]);
  expect(BLOCKS.length * 2).toBe(PAGE.match(/^```/gm)?.length);
  expect(sectionOf("Uninstall").map(({ language }) => language)).toEqual(["sh", "yaml", "sh"]);
});

test("Helm installs, changes and removes it as the page says", async () => {
  for (const block of sectionOf("The namespace and the key of trace ids")) await play(block);
  const before = await ours();
  for (const block of [...sectionOf("With Helm"), ...sectionOf("Does it work?")]) await play(block);
  const between = await ours();
  const foreign = await foreignImages();
  const notes = commandsOf(await command("helm --namespace flowspan get notes flowspan"));
  for (const line of notes) await command(line);
  await play(sectionOf("Uninstall")[0] as Block);

  expect([before, foreign]).toEqual([["Secret/flowspan-trace-key"], []]);
  expect(notes.map((line) => line.split(" ").slice(0, 4).join(" "))).toEqual([
    "kubectl label --overwrite namespace",
    "kubectl -n flowspan rollout",
  ]);
  expect(between).toEqual(expect.arrayContaining(["DaemonSet/flowspan", "DaemonSet/flowspan-probe"]));
  expect(between).toEqual(expect.arrayContaining(["Deployment/flowspan-directory", "Secret/otlp-headers"]));
  expect(await ours()).toEqual(["Secret/flowspan-trace-key", "Secret/otlp-headers"]);
});

test("kustomize installs and removes it as the page says", async () => {
  await command("kubectl -n flowspan delete secret --all && kubectl delete namespace flowspan");
  for (const block of sectionOf("The namespace and the key of trace ids")) await play(block);
  for (const block of [...sectionOf("With kustomize"), ...sectionOf("Does it work?")]) await play(block);
  const between = await ours();
  const foreign = await foreignImages();
  for (const block of sectionOf("Uninstall").slice(1)) await play(block);

  expect([foreign, await foreignImages()]).toEqual([[], []]);
  expect(between).toEqual(expect.arrayContaining(["DaemonSet/flowspan", "DaemonSet/flowspan-probe"]));
  // The namespace's controller would remove what the namespace still has.
  expect(await ours()).toEqual(["DaemonSet/flowspan-uninstall", "Secret/flowspan-trace-key"]);
});
