/**
 * agent/ → build/agent.mjs and the chunks that it loads only when it needs them.
 *
 * Each command and OTel's schema validator (only for a configuration file) are chunks of their own: an idle
 * agent in a cluster never loads the rest. Prints what was made and its size. build/bundled-packages.json names the packages
 * that the bundle has code of: what the image's bill of materials is made from.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string };

/**
 * The stock exporters load gRPC late, through a `require` that they make themselves: esbuild does not see
 * through it, and the bundle would look for node_modules and find a second gRPC. Says `require` instead.
 */
const visibleRequire: Plugin = {
  name: "visible-require",
  setup({ onLoad }) {
    onLoad({ filter: /@opentelemetry\/.*\.mjs$/ }, ({ path }) => {
      const contents = readFileSync(path, "utf8");
      return { contents: contents.replaceAll('__require("', 'require("'), loader: "js" };
    });
  },
};

/**
 * An ES module's import of node:http reads all that it exports, and so loads undici: 7 MiB. Properties of the module itself
 * are read when somebody asks for them.
 */
const lazyHttp: Plugin = {
  name: "lazy-http",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: "http", namespace: "builtin" }));
    onLoad({ filter: /.*/, namespace: "builtin" }, () => ({
      contents: 'module.exports = process.getBuiltinModule("node:http");',
      loader: "js",
    }));
  },
};

const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: { agent: "agent/main.ts" },
  outdir: "build",
  outExtension: { ".js": ".mjs" },
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  minify: true,
  keepNames: true,
  sourcemap: false,
  metafile: true,
  legalComments: "linked",
  platform: "node",
  format: "esm",
  target: "node22.19",
  define: { FLOWSPAN_VERSION: JSON.stringify(version) },
  // CommonJS packages inside of an ES module ask for `require`.
  banner: {
    js: 'import { createRequire as flowspanRequire } from "node:module"; const require = flowspanRequire(import.meta.url);',
  },
  logLevel: "warning",
  plugins: [visibleRequire, lazyHttp],
});

// Afterwards, since an agent may be started meanwhile: the former build's chunks have other names.
for (const chunk of readdirSync(`${ROOT}build/chunks`)) {
  if (!(`build/chunks/${chunk}` in metafile.outputs)) rmSync(`${ROOT}build/chunks/${chunk}`);
}

const bundled = Object.values(metafile.outputs).flatMap(({ inputs }) =>
  Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? packageOf(path) : [])),
);
writeFileSync(`${ROOT}build/bundled-packages.json`, `${JSON.stringify([...new Set(bundled)].sort(), undefined, 2)}\n`);

/** node_modules/@scope/name/lib/file.js → node_modules/@scope/name, and none for a file of the tree. */
function packageOf(path: string): string[] {
  return /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.slice(0, 1) ?? [];
}

const outputs = Object.entries(metafile.outputs).sort(([, a], [, b]) => b.bytes - a.bytes);
const total = outputs.reduce((sum, [, { bytes }]) => sum + bytes, 0);
for (const [file, { bytes, entryPoint }] of outputs.filter(([, output]) => output.bytes > 20_000)) {
  process.stdout.write(
    `${String(Math.round(bytes / 1024)).padStart(6)} KiB  ${file}${entryPoint ? `  (${basename(entryPoint)})` : ""}\n`,
  );
}
process.stdout.write(`${String(Math.round(total / 1024)).padStart(6)} KiB  in all\n`);
