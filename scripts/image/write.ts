/**
 * Layers → an OCI image layout (image-spec 1.1) with one tag an image and one manifest an architecture, and bom-IMAGE-ARCH.json
 * beside it. Prints each image's digest.
 *
 *   node scripts/image/write.ts --roots DIRECTORY --to DIRECTORY
 *
 * ROOTS/ARCH/IMAGE has system.tar and flowspan.tar, the layers. What a container starts, and as whom, is what the last stages of
 * deploy/Dockerfile say. `created` is SOURCE_DATE_EPOCH, else the commit's time.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type StartSettings, startOf } from "./dockerfile.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const IMAGES = ["agent", "probe"] as const;
/** As scripts/debian.sh has it. */
const CACHE = process.env.FLOWSPAN_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "flowspan");
const LAYERS = join(CACHE, "image/layers");
const TYPE = "application/vnd.oci.image";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [field: string]: unknown;
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** An image layout that grows in a directory. */
class Layout {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
    writeFileSync(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }

  add(mediaType: string, bytes: Uint8Array): Descriptor {
    const digest = digestOf(bytes);
    writeFileSync(join(this.#directory, "blobs", digest.replace(":", "/")), bytes);
    return { mediaType: `${TYPE}.${mediaType}`, digest, size: bytes.length };
  }

  addJson(mediaType: string, value: object): Descriptor {
    return this.add(mediaType, Buffer.from(JSON.stringify(value)));
  }

  finish(manifests: readonly Descriptor[]): void {
    writeFileSync(join(this.#directory, "index.json"), JSON.stringify(indexOf(manifests)));
  }
}

function indexOf(manifests: readonly Descriptor[]): object {
  return { schemaVersion: 2, mediaType: `${TYPE}.index.v1+json`, manifests };
}

/** A layer's tar as it is, and compressed. The cache keeps what Debian and npm bring: compressing Node takes longer than all else. */
function layerOf(path: string): { readonly diffId: string; readonly compressed: Buffer } {
  const diffId = digestOf(readFileSync(path));
  // gzip(1) without name and time: what Node's zlib writes changes with Node.
  const compress = () => execFileSync("gzip", ["--no-name", "--stdout", path], { maxBuffer: 1 << 30 });
  if (!path.endsWith("/system.tar")) return { diffId, compressed: compress() };
  const kept = join(LAYERS, `${diffId.replace("sha256:", "")}.gz`);
  if (!existsSync(kept)) {
    mkdirSync(LAYERS, { recursive: true });
    writeFileSync(`${kept}.${process.pid}`, compress());
    renameSync(`${kept}.${process.pid}`, kept);
  }
  return { diffId, compressed: readFileSync(kept) };
}

interface Build {
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
}

function writeImage(layout: Layout, paths: readonly string[], arch: string, start: StartSettings, build: Build) {
  const layers = paths.map(layerOf);
  const config = layout.addJson("config.v1+json", {
    created: build.created,
    architecture: arch,
    os: "linux",
    config: { ...start, Labels: build.labels },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: paths.map((path) => ({ created: build.created, created_by: `scripts/image/build: ${basename(path)}` })),
  });
  const manifest = layout.addJson("manifest.v1+json", {
    schemaVersion: 2,
    mediaType: `${TYPE}.manifest.v1+json`,
    config,
    layers: layers.map(({ compressed }) => layout.add("layer.v1.tar+gzip", compressed)),
    annotations: build.labels,
  });
  return { ...manifest, platform: { architecture: arch, os: "linux" } };
}

function git(...args: readonly string[]): string {
  return execFileSync("git", ["-C", ROOT, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

/** From the commit; where files differ from it, no revision is said. */
function buildOf(image: string): Build {
  const { version, description } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<
    string,
    string
  >;
  const isCommitted = git("status", "--porcelain") === "";
  const seconds = Number(process.env.SOURCE_DATE_EPOCH ?? git("log", "-1", "--format=%ct"));
  const labels = {
    "org.opencontainers.image.title": `flowspan-${image}`,
    "org.opencontainers.image.description": `${description}: the ${image}`,
    "org.opencontainers.image.version": version as string,
    "org.opencontainers.image.licenses":
      image === "probe" ? "Apache-2.0 AND (GPL-2.0-only OR Apache-2.0)" : "Apache-2.0",
    ...(isCommitted ? { "org.opencontainers.image.revision": git("rev-parse", "HEAD") } : {}),
  };
  return { created: new Date(seconds * 1000).toISOString().replace(".000Z", "Z"), labels };
}

const text = { type: "string" } as const;
const { roots = "", to = "" } = parseArgs({ options: { roots: text, to: text } }).values;
const dockerfile = readFileSync(join(ROOT, "deploy/Dockerfile"), "utf8");
const layout = new Layout(to);
const tags = IMAGES.map((image) => {
  const build = buildOf(image);
  const manifests = readdirSync(roots)
    .sort()
    .map((arch) => {
      copyFileSync(join(roots, arch, image, "bom.json"), join(to, `bom-${image}-${arch}.json`));
      const layers = ["system", "flowspan"].map((part) => join(roots, arch, image, `${part}.tar`));
      return writeImage(layout, layers, arch, startOf(dockerfile, image), build);
    });
  const { mediaType, ...index } = layout.addJson("index.v1+json", indexOf(manifests));
  process.stdout.write(`flowspan-${image} ${index.digest}\n`);
  return { mediaType, ...index, annotations: { "org.opencontainers.image.ref.name": image } };
});
layout.finish(tags);
