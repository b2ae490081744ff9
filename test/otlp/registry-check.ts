/**
 * The model of this tree as a check of what is sent; read once per process.
 */
import { fileURLToPath } from "node:url";
import { LiveCheck } from "../../semconv/live.ts";
import { loadRegistry, readModel } from "../../semconv/load.ts";
import type { Registry } from "../../semconv/types.ts";
import { readUpstream } from "../../semconv/upstream.ts";

const MODEL = fileURLToPath(new URL("../../semconv/model", import.meta.url));
const UPSTREAM = readUpstream();
let registry: Registry | undefined;

/** A new check, with no findings yet. @throws when the model is wrong */
export function registryCheck(): LiveCheck {
  registry ??= load();
  return new LiveCheck(registry, UPSTREAM);
}

function load(): Registry {
  const loaded = loadRegistry(readModel(MODEL), UPSTREAM);
  if ("problems" in loaded) throw new Error("the model is wrong: run node semconv/generate.ts");
  return loaded.registry;
}
