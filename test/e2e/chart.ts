/**
 * deploy/helm/flowspan and deploy/manifests as Helm and kubectl render them, as objects that tests can compare.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse, parseAllDocuments } from "yaml";
import { readConfigFile } from "../../agent/config/file.ts";
import { loadSchemaCheck } from "../../agent/config/load.ts";
import { component } from "../components/find.ts";
import type { Manifest } from "./manifests.ts";

const ROOT = join(import.meta.dirname, "../..");
export const CHART = join(ROOT, "deploy/helm/flowspan");

const OUTPUT_BYTES = 64 << 20;
const run = promisify(execFile);

/** @throws Error with what Helm says on stderr */
export async function helm(...args: readonly string[]): Promise<string> {
  const home = join(ROOT, "build/helm");
  const env = { ...process.env, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  const { stdout } = await run(component("helm"), args, { env, maxBuffer: OUTPUT_BYTES });
  return stdout;
}

/** What `helm template flowspan` prints in the namespace flowspan. */
export async function renderText(values: object = {}): Promise<string> {
  return inDirectory((directory) => {
    const file = join(directory, "values.json");
    writeFileSync(file, JSON.stringify(values));
    return helm("template", "flowspan", CHART, "--namespace", "flowspan", "--values", file);
  });
}

export async function render(values: object = {}): Promise<Manifest[]> {
  return objectsOf(await renderText(values));
}

/** @param path of a kustomization, from the tree's root */
export async function kustomize(path: string): Promise<Manifest[]> {
  const { stdout } = await run(component("kubectl"), ["kustomize", join(ROOT, path)], { maxBuffer: OUTPUT_BYTES });
  return objectsOf(stdout);
}

/** What deploy/manifests becomes with these components of it. */
export async function kustomizeWith(...components: readonly string[]): Promise<Manifest[]> {
  const directory = mkdtempSync(join(ROOT, "build/kustomize-"));
  try {
    const base = "../../deploy/manifests";
    const content = { resources: [base], components: components.map((name) => `${base}/${name}`) };
    writeFileSync(join(directory, "kustomization.yaml"), JSON.stringify(content));
    return await kustomize(directory.slice(ROOT.length));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** YAML 1.1, as kubectl and Helm read it: there a mode of 0440 is octal. */
export function objectsOf(text: string): Manifest[] {
  return parseAllDocuments(text, { version: "1.1" }).flatMap((document) => {
    const object = document.toJS() as Manifest | null;
    return object === null ? [] : [object];
  });
}

export const nameOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`;

/** The flowspan.yaml of each ConfigMap that has one, by the ConfigMap's name. */
export function configsOf(objects: readonly Manifest[]): Map<string, string> {
  return new Map(
    objects.flatMap((object) => {
      const text = (object.data as Record<string, string> | undefined)?.["flowspan.yaml"];
      return text === undefined ? [] : [[object.metadata.name, text] as const];
    }),
  );
}

/** What the agent's own reader has to say against a configuration, and what it reads. */
export async function readConfig(
  text: string,
): Promise<{ readonly complaints: readonly unknown[]; readonly values: Record<string, unknown> }> {
  const check = await loadSchemaCheck();
  return inDirectory(async (directory) => {
    const file = join(directory, "flowspan.yaml");
    writeFileSync(file, text);
    const variables = { HOST_IP: "192.0.2.1", OTLP_HEADERS: "x-tenant=shop" };
    const { problems, warnings, values } = readConfigFile(file, variables, check);
    return { complaints: [...problems, ...warnings], values: Object.fromEntries(values) };
  });
}

async function inDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-chart-"));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Labels that Helm's charts have by convention, and kustomize's base does not. */
const OF_CHARTS = ["app.kubernetes.io/instance"];

/**
 * An object without what a chart adds by convention: labels of objects, the label of the release in selectors and pods, the
 * hash of the configuration. Lists of named entries are sorted, configurations are parsed.
 */
export function comparable(object: Manifest): object {
  const { labels: _, ...metadata } = object.metadata as Manifest["metadata"] & { labels?: unknown };
  return simplified({ ...object, metadata }) as object;
}

function simplified(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) return inOrder(value.map((each) => simplified(each)));
  if (name === "flowspan.yaml") return parse(value as string);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => !OF_CHARTS.includes(key) && key !== "checksum/config");
  return Object.fromEntries(
    entries
      .map(([key, entry]) => [key, simplified(entry, key)] as const)
      .filter(([key, entry]) => !(key === "annotations" && Object.keys(entry as object).length === 0)),
  );
}

const inOrder = (list: unknown[]): unknown[] =>
  list.every((each) => typeof (each as { name?: unknown } | null)?.name === "string")
    ? (list as { name: string }[]).sort((a, b) => (a.name < b.name ? -1 : 1))
    : list;
