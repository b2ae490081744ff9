/**
 * Where the real components are that tests run: a name → the path of a program.
 *
 * Finds by the same rule by which test/components/build stores: recipe, version and the recipe's hash are
 * the file's name, so a changed recipe is never tested with an old program. Never builds: a test's time is
 * not a build's time.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const RECIPES = fileURLToPath(new URL(".", import.meta.url));

export type Component =
  | "otelcol"
  | "kube-apiserver"
  | "kubectl"
  | "etcd"
  | "jaeger"
  | "prometheus"
  | "promtool"
  | "helm";

/** @throws Error that names the command which builds it, when it is not there */
export function component(name: Component): string {
  const path = componentPath(name);
  if (!existsSync(path)) throw new Error(`${path} is not built: run test/components/build ${name}`);
  return path;
}

function componentPath(name: Component, env: NodeJS.ProcessEnv = process.env): string {
  const cache = env.FLOWSPAN_CACHE || join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "flowspan");
  const recipe = readFileSync(join(RECIPES, `${name}.sh`));
  const version = /^VERSION=(.+)$/m.exec(recipe.toString())?.[1];
  const hash = createHash("sha256").update(recipe).digest("hex").slice(0, 8);
  return join(cache, "bin", `${name}-${version}-${hash}`);
}
