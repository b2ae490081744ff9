/**
 * The root file system of an image → its bill of materials as CycloneDX 1.6 JSON, on stdout.
 *
 *   node scripts/image/bom.ts --image agent --architecture amd64 --roots DIRECTORY
 *
 * Debian's packages are those below /var/lib/dpkg/status.d; npm's are those whose code the bundle has
 * (build/bundled-packages.json, which esbuild knows; a scanner of files sees one file). The same root gives the same bytes: no serial
 * number, no time.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const json = <T>(path: string) => JSON.parse(readFileSync(join(ROOT, path), "utf8")) as T;

interface Component {
  readonly type: "library" | "application" | "file" | "container";
  readonly name: string;
  readonly [field: string]: unknown;
}

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/** Of a Debian package's control file. */
export function debianComponent(control: string, distribution: string): Component {
  const field = (name: string) => new RegExp(`^${name}: (\\S+)`, "m").exec(control)?.[1];
  const name = field("Package");
  const version = field("Version");
  if (name === undefined || version === undefined) throw new Error(`no Package or Version in: ${control}`);
  const source = field("Source");
  const qualifiers = [
    `arch=${field("Architecture")}`,
    `distro=${distribution}`,
    ...(source === undefined ? [] : [`upstream=${source}`]),
  ];
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?${qualifiers.join("&")}`;
  return { type: "library", "bom-ref": purl, name, version, purl };
}

/** Of a package.json of npm. */
export function npmComponent({ name, version, license }: Package, type: Component["type"] = "library"): Component {
  const [group, own] = name.startsWith("@") ? name.split("/") : [undefined, name];
  const path = [...(group === undefined ? [] : [encodeURIComponent(group)]), own].join("/");
  const purl = `pkg:npm/${path}@${version}`;
  const licenses = license === undefined ? [] : [{ expression: license.replace(/^\(|\)$/g, "") }];
  return {
    ...{ type, "bom-ref": purl, ...(group === undefined ? {} : { group }), name: own as string, version },
    ...{ ...(licenses.length > 0 ? { licenses } : {}), purl },
  };
}

function fileComponent(name: string, path: string, license: string, version: string): Component {
  const content = createHash("sha256").update(readFileSync(path)).digest("hex");
  return {
    ...{ type: "file", "bom-ref": name, name, version, hashes: [{ alg: "SHA-256", content }] },
    licenses: [{ expression: license }],
  };
}

function debianComponents(system: string): Component[] {
  const directory = join(system, "var/lib/dpkg/status.d");
  const release = readFileSync(join(system, "usr/lib/os-release"), "utf8");
  const distribution = `debian-${/^VERSION_ID="?(\d+)/m.exec(release)?.[1]}`;
  return readdirSync(directory)
    .sort()
    .map((file) => debianComponent(readFileSync(join(directory, file), "utf8"), distribution));
}

function ofProbe(roots: string, version: string): Component[] {
  const program = join(roots, "flowspan/usr/local/bin/flowspan-probe");
  return [
    fileComponent("flowspan-probe", program, "Apache-2.0", version),
    fileComponent("flowspan.bpf.o", join(ROOT, "build/bpf/flowspan.bpf.o"), "GPL-2.0-only OR Apache-2.0", version),
  ];
}

function ofAgent(roots: string, version: string, architecture: string): Component[] {
  if (!existsSync(join(ROOT, "build/bundled-packages.json"))) throw new Error("nothing is bundled: npm run build");
  const node = /^ARG NODE_VERSION=(\S+)/m.exec(readFileSync(join(ROOT, "deploy/Dockerfile"), "utf8"))?.[1] ?? "";
  const name = `node-linux-${architecture === "amd64" ? "x64" : architecture}`;
  return [
    fileComponent("agent.mjs", join(roots, "flowspan/app/agent.mjs"), "Apache-2.0", version),
    npmComponent({ name, version: node, license: "MIT" }, "application"),
    ...json<string[]>("build/bundled-packages.json").map((path) => npmComponent(json<Package>(`${path}/package.json`))),
  ];
}

if (import.meta.main) {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { image: text, architecture: text, roots: text } });
  const { image = "", architecture = "", roots = "" } = values;
  const { version } = json<Package>("package.json");
  const own = image === "probe" ? ofProbe(roots, version) : ofAgent(roots, version, architecture);
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { type: "container", "bom-ref": "image", name: `flowspan-${image}`, version } },
    components: [...own, ...debianComponents(join(roots, "system"))],
  };
  process.stdout.write(`${JSON.stringify(bom, undefined, 2)}\n`);
}
