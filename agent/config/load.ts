/**
 * The layers of the configuration, later ones over earlier ones:
 *
 *   defaults ← file (OTEL_CONFIG_FILE), else OTEL_* variables ← FLOWSPAN_* variables ← flags
 *
 * As OTel's specification asks: with a file, OTEL_* variables count only where the file names them
 * (`${OTEL_...}`), and a variable that cannot be read is ignored with a warning. Everything else that is
 * wrong is refused, all at once.
 */

import { directoryProblems } from "./directory-check.ts";
import { readConfigFile, type SchemaCheck } from "./file.ts";
import { type FlagValues, readFlags } from "./flags.ts";
import { emptyLayer, type Layer, type Origin, putOver, take } from "./layer.ts";
import { merge } from "./merge.ts";
import { ConfigError, foundText, type Problem, problemText, refusalProblem } from "./problem.ts";
import { ROWS, type Row } from "./setting-rows.ts";
import type { Settings } from "./settings.ts";

export interface Config {
  /** As the table says them, with what one inherits from another already filled in (see `merge`). */
  readonly settings: Settings;
  /** Where a setting was set, or would be: by place in `Settings`, as `otlp.endpoint`. */
  readonly originOf: (key: string) => Origin;
  /** The file that was read, or undefined. */
  readonly file: string | undefined;
  /** Worth a line in the log, once. */
  readonly warnings: readonly string[];
}

export interface ConfigSources {
  readonly env: NodeJS.ProcessEnv;
  readonly flags: FlagValues;
  /** From `loadSchemaCheck`; without it the parts of the file that flowspan does not read go unchecked. */
  readonly checkSchema?: SchemaCheck;
}

/** The configuration's file, or undefined where none is named. */
export function configFile({ env, flags }: ConfigSources): string | undefined {
  const flag = flags.config;
  if (typeof flag === "string" && flag !== "") return flag;
  const variable = env.OTEL_CONFIG_FILE?.trim();
  return variable === "" ? undefined : variable;
}

/**
 * Loads and merges all layers.
 *
 * @throws ConfigError with every problem there is
 */
export function loadConfig(sources: ConfigSources): Config {
  const { env, flags } = sources;
  const file = configFile(sources);
  const layers = emptyLayer();
  if (file !== undefined) {
    putOver(layers, readConfigFile(file, env, sources.checkSchema ?? (() => undefined)));
    layers.warnings.push(...ignoredVariables(env));
  }
  putOver(
    layers,
    readVariables(env, (name) => file === undefined || !name.startsWith("OTEL_")),
  );
  putOver(layers, readFlags(flags));
  const { problems } = layers;
  if (problems.length > 0) throw new ConfigError(problems);

  const { settings, origins, warnings } = merge(layers, file !== undefined);
  const originOf = (key: string) => origins.get(key) ?? unsetOrigin(key, file);
  problems.push(...checkTogether(settings, originOf), ...directoryProblems(settings, file ?? "configuration"));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings, originOf, file, warnings: [...new Set([...layers.warnings, ...warnings])] };
}

/** Where a setting that has its default would be set. */
function unsetOrigin(key: string, file: string | undefined): Origin {
  const { path = key, field = undefined } = ROW_BY_KEY.get(key) ?? {};
  const variable = field?.env?.at(-1);
  if (file !== undefined && path !== "") return { source: file, path };
  if (variable !== undefined) return { source: "environment", path: variable };
  return field?.flag === undefined
    ? { source: "configuration", path }
    : { source: "command line", path: `--${field.flag}` };
}

const ROW_BY_KEY = new Map<string, Row>(ROWS.map((row) => [row.keys.join("."), row]));

/** OTel's own schema check; loaded late because its validator costs 6 MiB, and only a file needs it. */
export async function loadSchemaCheck(): Promise<SchemaCheck> {
  const { parseConfigFile } = await import("@opentelemetry/configuration");
  return (file) => {
    try {
      parseConfigFile(file);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
}

function readVariables(env: NodeJS.ProcessEnv, counts: (name: string) => boolean): Layer {
  const layer = emptyLayer();
  for (const row of ROWS) {
    const names = (row.field.env ?? []).filter((name) => counts(name) && (env[name] ?? "").trim() !== "");
    readVariable(row, names, env, layer);
  }
  return layer;
}

/** The first variable that can be read counts; of fields that combine, all that can be read. */
function readVariable({ keys, field }: Row, names: readonly string[], env: NodeJS.ProcessEnv, layer: Layer): void {
  const values: unknown[] = [];
  for (const name of names) {
    const where = { source: "environment", path: name };
    const text = (env[name] as string).trim();
    const result = field.fromText(text);
    if ("refused" in result) {
      const problem = refusalProblem(where, field, result, text);
      if (name.startsWith("OTEL_"))
        layer.warnings.push(
          `${problemText(problem)}\n  the variable is ignored, as OpenTelemetry's specification asks`,
        );
      else layer.problems.push(problem);
      continue;
    }
    values.push(result.value);
    const value = field.combine === undefined ? result.value : field.combine(values);
    const first = layer.origins.get(keys.join(".")) ?? where;
    take(layer, keys, where, { ...result, value });
    layer.origins.set(keys.join("."), first);
    if (field.combine === undefined) return;
  }
}

function ignoredVariables(env: NodeJS.ProcessEnv): string[] {
  const names = ROWS.flatMap(({ field }) => field.env ?? []).filter(
    (name) => name.startsWith("OTEL_") && (env[name] ?? "") !== "",
  );
  if (names.length === 0) return [];
  const once = [...new Set(names)].join(", ");
  return [`with a configuration file these variables count only where it names them: ${once}`];
}

/** Sources from the first layer to the last; a file, whose name is none of them, comes before. */
const LAYERS = ["environment", "command line"];

/** What is right alone and wrong together. */
function checkTogether({ otlp, traces, logs, kubernetes }: Settings, originOf: Config["originOf"]): Problem[] {
  const problems: Problem[] = [];
  const exporters = [halfOf("otlp", otlp), halfOf("traces", traces), halfOf("logs", logs)];
  const halves = exporters.filter((half) => half !== undefined);
  for (const [key, missing] of halves) {
    const where = originOf(key);
    const found = `${nameIn(key)} without ${nameIn(missing)}`;
    // Another signal that has it from the metrics have the same problem.
    if (problems.some(({ path }) => path === where.path)) continue;
    problems.push({ ...where, found, allowed: "both or none", remedy: `set ${originOf(missing).path} too` });
  }
  // `--kubernetes off` over a file that names a kubeconfig is no contradiction: the later layer wins.
  const isLater =
    LAYERS.indexOf(originOf("kubernetes.enabled").source) > LAYERS.indexOf(originOf("kubernetes.kubeconfig").source);
  if (kubernetes.enabled === "off" && kubernetes.kubeconfig !== undefined && !isLater) {
    problems.push({
      ...originOf("kubernetes.kubeconfig"),
      found: foundText(kubernetes.kubeconfig),
      allowed: "nothing while kubernetes.enabled is off",
      remedy: "remove it, or set kubernetes.enabled to auto",
    });
  }
  return problems;
}

/** Of a client certificate and its key: the one that is there and the one that is missing. */
function halfOf(
  group: "otlp" | "traces" | "logs",
  { keyFile, certFile }: Settings["otlp" | "traces" | "logs"],
): readonly [there: string, missing: string] | undefined {
  if ((keyFile === undefined) === (certFile === undefined)) return undefined;
  return keyFile === undefined ? [`${group}.certFile`, `${group}.keyFile`] : [`${group}.keyFile`, `${group}.certFile`];
}

const nameIn = (key: string): string => (key.endsWith("keyFile") ? "key_file" : "cert_file");
