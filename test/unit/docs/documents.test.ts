/** What the documents say of the tree, held against the tree. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
const DOCUMENTS = [
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "deploy/helm/flowspan/README.md",
  "deploy/manifests/README.md",
  "deploy/otel-collector/README.md",
  "docs/accuracy.md",
  "docs/configuration.md",
  "docs/directory.md",
  "docs/comparison.md",
  "docs/high-availability.md",
  "docs/install.md",
  "docs/sizing.md",
  "docs/telemetry.md",
];

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

function allMatches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, first = ""]) => first);
}

/** Anchors as GitHub makes them from headings. */
function anchors(text: string): string[] {
  return allMatches(text, /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** @returns what is wrong with a link, undefined when it leads somewhere */
function complaint(document: string, link: string): string | undefined {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? document : join(dirname(document), path);
  if (!existsSync(join(ROOT, target))) return `${document}: ${link}: no such file`;
  if (anchor !== undefined && !anchors(read(target)).includes(anchor)) return `${document}: ${link}: no such heading`;
  return undefined;
}

test.each(DOCUMENTS)("every link within the tree leads somewhere: %s", (document) => {
  const links = allMatches(read(document), /\]\(([^)\s]+)\)/g).filter((link) => !/^https?:/.test(link));

  const complaints = links.map((link) => complaint(document, link)).filter((found) => found !== undefined);

  expect(complaints).toEqual([]);
});

test("README asks Prometheus what the Collector's README asks", () => {
  const blocks = (path: string) => allMatches(read(path), /```promql\n([\s\S]*?)```/g);

  expect(blocks("README.md")).toEqual(blocks("deploy/otel-collector/README.md"));
});

test("every make target and npm script that a document names exists", () => {
  const text = DOCUMENTS.map(read).join("\n");
  const targets = allMatches(read("Makefile"), /^([a-z-]+):/gm);
  const scripts = Object.keys(JSON.parse(read("package.json")).scripts);

  const missing = [
    ...allMatches(text, /(?:^|`)make ([a-z-]+)/gm).filter((name) => !targets.includes(name)),
    ...allMatches(text, /npm run ([a-z:-]+)/g).filter((name) => !scripts.includes(name)),
  ];

  expect(missing).toEqual([]);
});

test("ARCHITECTURE.md gives the reason of each dependency and of no other", () => {
  const [, section = ""] = read("ARCHITECTURE.md").split("## Dependencies");
  const [table = ""] = section.split("\n## ");
  const { dependencies, devDependencies } = JSON.parse(read("package.json"));

  const named = table
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => allMatches(line.split(" | ")[0] ?? "", /`([^`]+)`/g));

  expect(named.sort()).toEqual(Object.keys({ ...dependencies, ...devDependencies }).sort());
});

/** Rows of the table of what one adds: `; ` stands between its files. */
const ADDITIONS = (read("ARCHITECTURE.md").split("| to add | files |\n|---|---|\n")[1]?.split("\n\n")[0] ?? "")
  .split("\n")
  .map((row) => row.split(" | ").map((cell) => cell.replaceAll(/^\| | \|$/g, "")) as [string, string]);

test("ARCHITECTURE.md says what one adds for each of these", () => {
  const what = ADDITIONS.map(([added]) => added.replace(/,.*/, ""));
  const wanted = ["a signal", "a protocol's programs", "a loss of the agent", "a loss of the kernel", "a finding"];

  expect(what).toEqual(
    expect.arrayContaining([...wanted, "a Kubernetes feed", "a command", "a setting", "a kernel hook"]),
  );
});

test.each(ADDITIONS)("what one adds for %s are four places at most, which exist", (_added, files) => {
  const named = allMatches(files, /`([\w./-]+\/[\w./-]*)`/g);
  const missing = named.filter((path) => globSync([path, `agent/${path}`].map(wildcards), { cwd: ROOT }).length === 0);

  expect(files.split("; ").length).toBeLessThanOrEqual(4);
  expect(missing).toEqual([]);
});

function wildcards(path: string): string {
  return path.replace("NAME", "*");
}
