/**
 * build/image, which `make image` makes: read by skopeo as a registry's client reads it, and run by runc as the pods' specs say. The
 * images hold what their bill of materials names, and nothing that runs but flowspan and Node.
 */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished } from "vitest";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import { holds } from "../components/running.ts";
import { needs } from "../machine/needs.ts";
import { Receiver } from "../otlp/receiver.ts";
import { RunningContainer } from "./container.ts";
import { agentSetup, probeSetup, volumesOfTest } from "./node-containers.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LAYOUT = join(ROOT, "build/image");
const IMAGES = ["agent", "probe"] as const;
const ARCHITECTURES = ["amd64", "arm64"] as const;
const OWN = process.arch === "x64" ? "amd64" : "arm64";
/** Under emulation, Node takes seconds to start. */
const TEST_MS = 180_000;
const test = needs("image");
const run = promisify(execFile);

type Image = (typeof IMAGES)[number];

interface Config {
  readonly architecture: string;
  readonly config: {
    readonly User?: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
  };
}

interface Unpacked extends Config {
  readonly root: string;
}

/** An image as a runtime has it: skopeo checks each digest, and the layers lie one upon the other. */
function unpacked(image: Image, architecture: string): Unpacked {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-image-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const copy = join(directory, "copy");
  const root = join(directory, "root");
  mkdirSync(root);
  execFileSync("skopeo", ["--override-arch", architecture, "copy", "--quiet", `oci:${LAYOUT}:${image}`, `dir:${copy}`]);
  const json = (file: string) => JSON.parse(readFileSync(join(copy, file), "utf8"));
  const { config, layers } = json("manifest.json") as {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  };
  const file = ({ digest }: { readonly digest: string }) => digest.replace("sha256:", "");
  for (const layer of layers) execFileSync("tar", ["-xzf", join(copy, file(layer)), "-C", root]);
  return { ...(json(file(config)) as Config), root };
}

function files(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));
}

const inspected = needs("root", "image", "runc");
const job = needs("root", "btf", "build", "runc", "image");

job(
  "both containers do their job with the images' files alone, started as the images say and confined as the pods' specs say",
  async () => {
    const volumes = volumesOfTest();
    const receiver = await Receiver.start();
    onTestFinished(() => receiver.close());
    const running = (setup: ConstructorParameters<typeof RunningContainer>[0]) => {
      const container = new RunningContainer(setup);
      onTestFinished(() => container.remove());
      return container;
    };
    const environment = ({ config }: Config) => Object.fromEntries(config.Env.map((each) => each.split("=", 2)));
    const ofProbe = unpacked("probe", OWN);
    const probeSpec = probeSetup(volumes);
    const probeArgs = probeSpec.container.args ?? [];
    const argv = [...ofProbe.config.Entrypoint, ...probeArgs];
    const probe = running({ ...probeSpec, root: ofProbe.root, files: {}, argv, env: environment(ofProbe) });
    const ofAgent = unpacked("agent", OWN);
    const settings = ["agent", "--kubernetes", "off", "--endpoint", receiver.endpoint, "--interval", "200"];
    const agentSpec = agentSetup(volumes, [...ofAgent.config.Entrypoint, ...settings]);
    const env = { ...environment(ofAgent), ...agentSpec.env };
    const agent = running({ ...agentSpec, root: ofAgent.root, files: {}, env });

    const isReady = await holds(
      async () =>
        (await askAgent(join(volumes.own, "agent/admin.sock"), "/readyz").catch(() => undefined))?.status === 200,
      60_000,
      () => agent.hasEnded || probe.hasEnded,
    );

    expect(isReady, `${probe.words()}\n${agent.words()}`).toBe(true);
    expect(receiver.requests.length).toBeGreaterThan(0);
    // As docs/install.md has it, by `kubectl exec`.
    const doctor = await agent.execProgram(["node", "/app/agent.mjs", "version"]);
    expect(doctor.output).toMatch(/^flowspan \d/);
    const check = await probe.execProgram(["flowspan-probe", "--check", "--pins", "/bpf/flowspan"]);
    expect(JSON.parse(check.output)).toMatchObject({ can_run: true });
  },
  TEST_MS,
);

for (const architecture of ARCHITECTURES) {
  const started = architecture === OWN ? inspected : needs("root", "image");
  started(
    `the programs of the ${architecture} images start${architecture === OWN ? "" : " under qemu's emulation of its user space"}`,
    async () => {
      const probe = unpacked("probe", architecture);
      const agent = unpacked("agent", architecture);
      expect([probe.architecture, agent.architecture]).toEqual([architecture, architecture]);
      const machine = architecture === "arm64" ? "aarch64" : "x86_64";
      const emulator = architecture === OWN ? [] : ["/qemu"];
      for (const { root } of emulator.length > 0 ? [probe, agent] : [])
        copyFileSync(`/usr/bin/qemu-${machine}-static`, join(root, "qemu"));
      const within = (root: string, user: number, ...argv: readonly string[]) =>
        run("chroot", [`--userspec=${user}:${user}`, root, ...emulator, ...argv]).then(({ stdout }) => stdout);

      const version = await within(probe.root, 0, "/usr/local/bin/flowspan-probe", "--version");
      const help = await within(probe.root, 0, "/usr/local/bin/flowspan-probe", "--help");
      const said = await within(agent.root, USER_AGENT, "/usr/local/bin/node", "/app/agent.mjs", "version");

      const own = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version;
      expect(version).toContain(`flowspan-probe ${own}, `);
      expect(help).toContain("Usage: flowspan-probe");
      expect(said).toContain(`flowspan ${own} (`);
    },
    TEST_MS,
  );
}

interface Bom {
  readonly components: readonly {
    readonly name: string;
    readonly group?: string;
    readonly version: string;
    readonly purl?: string;
    readonly hashes?: readonly { readonly content: string }[];
  }[];
}

test(
  "the bills of materials name each of Debian's packages, each of npm's in the bundle, and our programs by their sums",
  () => {
    const bundled = JSON.parse(readFileSync(join(ROOT, "build/bundled-packages.json"), "utf8")) as string[];
    const sum = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
    for (const image of IMAGES) {
      const { root } = unpacked(image, OWN);
      const inside = join(root, "usr/share/doc/flowspan/bom.cdx.json");
      expect(readFileSync(inside, "utf8")).toBe(readFileSync(join(LAYOUT, `bom-${image}-${OWN}.json`), "utf8"));
      const { components } = JSON.parse(readFileSync(inside, "utf8")) as Bom;
      const purls = components.flatMap(({ purl }) => (purl === undefined ? [] : [decodeURIComponent(purl)]));

      const installed = readdirSync(join(root, "var/lib/dpkg/status.d"));
      const debian = purls.flatMap((purl) => /^pkg:deb\/debian\/([^@]+)@\d/.exec(purl)?.[1] ?? []);
      expect(debian).toEqual(installed.sort());
      const npm = purls.flatMap((purl) => /^pkg:npm\/(.+)@\d/.exec(purl)?.[1] ?? []);
      const wanted =
        image === "probe" ? [] : ["node-linux-", ...bundled.map((path) => path.replace(/^.*node_modules\//, ""))];
      expect(npm.map((name) => name.replace(/^(node-linux-).*/, "$1")).sort()).toEqual(wanted.sort());
      const program = image === "probe" ? "usr/local/bin/flowspan-probe" : "app/agent.mjs";
      expect(components[0]?.hashes?.map(({ content }) => content)).toEqual([sum(join(root, program))]);
      const keys = components.map(({ group, name, version }) => `${group}/${name}@${version}`);
      expect(new Set(keys).size).toBe(keys.length);
    }
    const probe = JSON.parse(readFileSync(join(LAYOUT, `bom-probe-${OWN}.json`), "utf8")) as Bom;
    expect(probe.components.map(({ name }) => name)).toContain("libbpf1");
  },
  TEST_MS,
);

/** The part of @cyclonedx/cyclonedx-library that holds a document against the standard's own JSON schema. */
interface CycloneDx {
  readonly Spec: { readonly Version: { readonly v1dot6: string } };
  readonly Validation: {
    readonly JsonStrictValidator: new (version: string) => { validate(text: string): Promise<unknown> };
  };
}

test("the bills of materials are what CycloneDX's own schema asks for, and the schema refuses a component of an unknown type", async () => {
  const { Spec, Validation } = createRequire(import.meta.url)("@cyclonedx/cyclonedx-library") as CycloneDx;
  const schema = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  for (const image of IMAGES) {
    for (const architecture of ARCHITECTURES) {
      const text = readFileSync(join(LAYOUT, `bom-${image}-${architecture}.json`), "utf8");

      expect(await schema.validate(text), `${image} ${architecture}`).toBeNull();
      expect(await schema.validate(text.replace('"library"', '"everything"'))).not.toBeNull();
    }
  }
});

test(
  "nothing runs in the images but our program and Node: no shell, no package manager, and no file is set-user-id or writable for others",
  async () => {
    for (const image of IMAGES) {
      const { root, config } = unpacked(image, OWN);
      const programs = files(root).filter((path) => /\/s?bin\//.test(path));
      expect(programs).toEqual([image === "probe" ? "/usr/local/bin/flowspan-probe" : "/usr/local/bin/node"]);
      expect(existsSync(join(root, "bin/sh"))).toBe(false);
      const { stdout } = await run("find", [root, "-type", "f", "-perm", "/6022"]);
      expect(stdout).toBe("");
      expect(config.User).toBe(image === "agent" ? `${USER_AGENT}:${USER_AGENT}` : undefined);
      expect(config.Labels).toMatchObject({
        "org.opencontainers.image.title": `flowspan-${image}`,
        "org.opencontainers.image.version": expect.stringMatching(/^\d+\.\d+\.\d+$/),
      });
    }
  },
  TEST_MS,
);

test("the kernel's object in both architectures' probes is the same", () => {
  const objects = ARCHITECTURES.map((architecture) => {
    const bom = JSON.parse(readFileSync(join(LAYOUT, `bom-probe-${architecture}.json`), "utf8")) as Bom;
    const object = bom.components.find(({ name }) => name === "flowspan.bpf.o");
    const sum = object?.hashes?.[0]?.content ?? "";
    const bytes = readFileSync(join(ROOT, "build/bpf/flowspan.bpf.o"));
    const { root } = unpacked("probe", architecture);
    // The skeleton is the object, byte by byte.
    expect(readFileSync(join(root, "usr/local/bin/flowspan-probe")).includes(bytes)).toBe(true);
    return sum;
  });

  expect(new Set(objects).size).toBe(1);
});
