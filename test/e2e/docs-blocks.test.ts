/**
 * Blocks of the documents that have no test of their own (test/unit/docs/blocks.test.ts says which have): configurations are read by the
 * programs that they are for, commands are run, or held against what they name: targets of make, flags, objects, files.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished } from "vitest";
import { parse } from "yaml";
import { SHIPPED_CONFIG } from "../components/collector.ts";
import { component } from "../components/find.ts";
import { needs } from "../machine/needs.ts";
import { blocksOf, documents } from "../unit/docs/blocks.ts";
import { kustomize, readConfig } from "./chart.ts";
import { manifests } from "./manifests.ts";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);
const test = needs("build", "otelcol", "promtool", "kubectl");

function scratch(): string {
  const directory = mkdtempSync(join(ROOT, "build/docs-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

const yamlOf = (document: string) =>
  blocksOf(document).flatMap(({ language, text }) => (language === "yaml" ? [text] : []));

test("docs/configuration.md: the agent has nothing against the example", async () => {
  const [example = ""] = yamlOf("docs/configuration.md");

  const { complaints, values } = await readConfig(example.replace(/\$\{NODE_NAME\}/, "node-1"));

  expect(complaints).toEqual([]);
  expect(values).toMatchObject({ cluster: "shop-eu", interval: 15_000 });
});

test("docs/directory.md: each overlay renders, and has what its component brings", async () => {
  const overlays = yamlOf("docs/directory.md");
  const rendered = await Promise.all(
    overlays.map(async (text) => {
      const directory = scratch();
      symlinkSync(join(ROOT, "deploy/manifests"), join(directory, "manifests"));
      mkdirSync(join(directory, "mine"));
      writeFileSync(join(directory, "mine/kustomization.yaml"), text);
      return JSON.stringify(await kustomize(join(directory, "mine").slice(ROOT.length)));
    }),
  );

  expect(rendered.map((text) => text.includes('"name":"flowspan-directory"'))).toEqual([true, true]);
  expect(rendered.map((text) => text.includes("tokenreviews"))).toEqual([false, true]);
});

test("docs/telemetry.md: the Collector takes the filter in its pipeline", async () => {
  const file = join(scratch(), "filter.yaml");
  const pipeline = "{ processors: [memory_limiter, filter/no_native_histograms, batch] }";
  writeFileSync(file, `${yamlOf("docs/telemetry.md").join("\n")}\nservice: { pipelines: { metrics: ${pipeline} } }\n`);

  const configs = [SHIPPED_CONFIG, file].flatMap((path) => ["--config", path]);
  await expect(run(component("otelcol"), ["validate", ...configs])).resolves.toBeTruthy();
});

test("docs/alerts-and-dashboards.md: promtool takes the rules, and Grafana's provisioning is YAML of its one kind", async () => {
  const [prometheus = "", grafana = ""] = yamlOf("docs/alerts-and-dashboards.md");
  const directory = scratch();
  symlinkSync(join(ROOT, "deploy/alerts/flowspan.rules.yaml"), join(directory, "flowspan.rules.yaml"));
  writeFileSync(join(directory, "prometheus.yaml"), prometheus);

  const { stdout } = await run(component("promtool"), ["check", "config", join(directory, "prometheus.yaml")]);

  expect(stdout).toMatch(/SUCCESS: \d+ rules found/);
  // Grafana cannot be had here; its documentation has these fields.
  expect(parse(grafana)).toMatchObject({ apiVersion: 1, providers: [{ type: "file", options: { path: /^\// } }] });
});

/** Commands of a block: lines that a backslash joins, without comments. */
const commandsOf = (text: string) =>
  text
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.replace(/\s+#.*$/, "").trim())
    .filter((line) => line !== "");

/** Blocks whose commands no other test runs. */
function commands(): { readonly document: string; readonly command: string }[] {
  const isOurs = ({ document, language }: { readonly document: string; readonly language: string }) =>
    /^(sh|console|indented)$/.test(language) &&
    !document.startsWith("docs/runbooks/") &&
    !(document === "docs/install.md" && language === "sh") &&
    document !== "docs/comparison.md"; // footnotes
  return documents()
    .flatMap(blocksOf)
    .filter(isOurs)
    .flatMap(({ document, text }) => commandsOf(text).map((command) => ({ document, command })));
}

const helps = new Map<string, Promise<string>>();

function helpOf(...argv: readonly string[]): Promise<string> {
  const key = argv.join(" ");
  const [program = "", ...args] = argv;
  const help = helps.get(key) ?? run(join(ROOT, program), [...args, "--help"]).then(({ stdout }) => stdout);
  helps.set(key, help);
  return help;
}

/** @returns flags that the program's help does not have */
async function unknownFlags(words: readonly string[], help: Promise<string>): Promise<string[]> {
  const text = await help;
  return words.filter((word) => /^--\w/.test(word) && !text.includes(word.split("=")[0] as string));
}

const TARGETS = [...readFileSync(join(ROOT, "Makefile"), "utf8").matchAll(/^([a-z-]+):/gm)].map(([, name]) => name);
const STAGES = [...readFileSync(join(ROOT, "deploy/Dockerfile"), "utf8").matchAll(/ AS (\w+)$/gm)].map(
  ([, name]) => name,
);
const OBJECTS: Readonly<Record<string, string>> = { ds: "DaemonSet", deploy: "Deployment", deployment: "Deployment" };

/** Whether the tree has the object, as `ds/flowspan`; a name in capitals is the reader's own. */
async function hasObject(name: string): Promise<boolean> {
  const [kind = "", own] = name.split("/");
  if (own === undefined) return /^[A-Z_]+$/.test(name);
  const objects = [...manifests(), ...(await kustomize("deploy/overlays/large-cluster"))];
  return objects.some((object) => object.kind === OBJECTS[kind] && object.metadata.name === own);
}

/** @returns what is wrong with a command, by the program that it starts; undefined where it is right */
async function complaint(command: string): Promise<string | undefined> {
  const words = command.replace(/^(?:sudo (?:-E )?|[A-Z_]+=\S+ )+/, "").split(" ");
  const [program = "", ...args] = words;
  const wrong = (list: readonly string[]) => (list.length > 0 ? list.join(", ") : undefined);
  const files = args.filter((word) =>
    /^(?:deploy|docs|monitoring|scripts|test\/(?!kernel\/NAME))[\w./-]*\.\w+$/.test(word),
  );
  const missing = files.filter((path) => !existsSync(join(ROOT, path)));
  if (missing.length > 0) return wrong(missing);
  switch (program) {
    case "make":
      return TARGETS.includes(args[0]) ? undefined : `no target ${args[0]}`;
    case "./flowspan":
      return wrong(await unknownFlags(args, helpOf("flowspan", args[0] ?? "")));
    case "node":
      if (args[0] !== "/app/agent.mjs") return undefined; // a file of the tree, which is there
      return wrong(await unknownFlags(args, helpOf("flowspan", args[1] ?? "")));
    case "build/flowspan-probe":
    case "flowspan-probe":
      return wrong(await unknownFlags(args, helpOf("build/flowspan-probe")));
    case "kubectl":
      return kubectl(args);
    case "docker":
      if (args[0] !== "build") return undefined;
      return wrong(args.filter((word, i) => args[i - 1] === "--target" && !STAGES.includes(word)));
    case "skopeo":
      return /oci:build\/image:(?:probe|agent)$/.test(args[2] ?? "") ? undefined : "no such image";
    case "promtool":
      return run(component("promtool"), args, { cwd: ROOT }).then(
        () => undefined,
        (error: Error) => error.message,
      );
    default:
      return OTHERS.some((known) => words.join(" ").startsWith(known)) ? undefined : "nobody checks it";
  }
}

/** Run elsewhere (e2e/otel-collector, e2e/alert-rules, e2e/alerts, e2e/helm-server, CI), or tools of the desk that leave nothing in the tree. */
const OTHERS = [
  "otelcol --config yours.yaml --config ",
  "sed 's|docs/runbooks/|",
  'find /sys/fs/cgroup -path "*$(echo UID',
  "helm install flowspan deploy/helm/flowspan ",
  "openssl ",
  "export PATH=",
  "scripts/test unit",
  "npx vitest run --project ",
  "tmux ",
];

/** What needs a kubelet is held against the tree's objects and its inner command; the rest kubectl itself reads. */
async function kubectl(args: readonly string[]): Promise<string | undefined> {
  const words = args[0] === "-n" ? args.slice(2) : args;
  const [verb = "", object = ""] = words;
  if (verb === "exec") {
    const target = words.slice(1).find((word) => !word.startsWith("-")) ?? "";
    if (!(await hasObject(target))) return `no ${target}`;
    return complaint(words.slice(words.indexOf("--") + 1).join(" "));
  }
  if (verb === "port-forward") return (await hasObject(object)) ? undefined : `no ${object}`;
  if (verb === "delete" && object === "-k")
    return existsSync(join(ROOT, words[2] ?? "")) ? undefined : "no such directory";
  if (verb === "create" || verb === "label") return undefined; // the next test runs them
  return /^(apply|get)$/.test(verb) ? undefined : `nobody checks kubectl ${verb}`;
}

test("each command of the documents is one that its program knows: targets, flags, objects and files are there", async () => {
  const all = commands();

  const wrong: string[] = [];
  for (const { document, command } of all) {
    const found = await complaint(command);
    if (found !== undefined) wrong.push(`${document}: ${command}: ${found}`);
  }

  expect(all.length).toBeGreaterThan(30);
  expect(wrong).toEqual([]);
  expect(await complaint("sudo ./flowspan top --everything")).toBe("--everything");
  expect(await complaint("make coffee")).toBe("no target coffee");
  expect(await complaint("kubectl -n flowspan exec ds/flowspam -- flowspan-probe --check")).toBe("no ds/flowspam");
}, 120_000);

test("docs/directory.md and docs/alerts-and-dashboards.md: the Secrets and the ConfigMap are made of the files that the commands before them make", async () => {
  const directory = scratch();
  symlinkSync(join(ROOT, "deploy"), join(directory, "deploy"));
  symlinkSync(component("kubectl"), join(directory, "kubectl"));
  const pages = ["docs/directory.md", "docs/alerts-and-dashboards.md"];
  const made = commands().filter(
    ({ document, command }) => pages.includes(document) && /^openssl | create /.test(command),
  );
  const script = made.map(({ command }) =>
    command.startsWith("openssl") ? command : `${command} --dry-run=client -o name`,
  );

  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}`, KUBECONFIG: "/dev/null" };
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", script.join("\n")], { cwd: directory, env });

  expect(stdout.trim().split("\n")).toEqual([
    ...["configmap/flowspan-dashboards", "secret/flowspan-directory", "secret/flowspan-directory-agent"],
  ]);
});
