/**
 * The layers of the configuration, later ones over earlier ones:
 *
 *   defaults ← file (OTEL_CONFIG_FILE), else OTEL_* variables ← FLOWSPAN_* variables ← flags
 *
 * As OTel's specification asks: with a file, OTEL_* variables count only where the file names them
 * (`${OTEL_...}`), and a variable that cannot be read is ignored with a warning. Everything else that is
 * wrong is refused, all at once.
 */

import { ATTR_SERVICE_NAME } from "../generated/semconv.ts";
import { directoryProblems } from "./directory-check.ts";
import type { Pairs } from "./fields.ts";
import { readConfigFile, type SchemaCheck } from "./file.ts";
import { type FlagValues, readFlags } from "./flags.ts";
import { ConfigError, foundText, type Problem, problemText } from "./problem.ts";
import { ROWS, type Settings, settingsFrom } from "./settings.ts";

export interface Config {
  /** As the table says them, with OTel's two ways to state one thing already merged (see `merge`). */
  readonly settings: Settings;
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
  const values = new Map<string, unknown>();
  const problems: Problem[] = [];
  const warnings: string[] = [];

  if (file !== undefined) {
    const read = readConfigFile(file, env, sources.checkSchema ?? (() => undefined));
    for (const [key, value] of read.values) values.set(key, value);
    problems.push(...read.problems);
    warnings.push(...read.warnings, ...ignoredVariables(env));
  }
  const variables = readVariables(env, (name) => file === undefined || !name.startsWith("OTEL_"));
  for (const [key, value] of variables.values) values.set(key, value);
  problems.push(...variables.problems);
  warnings.push(...variables.warnings);

  const stated = readFlags(flags);
  for (const [key, value] of stated.values) values.set(key, value);
  problems.push(...stated.problems);

  if (problems.length > 0) throw new ConfigError(problems);
  const merged = merge(settingsFrom(values), values.has("interval"));
  problems.push(...checkTogether(merged), ...directoryProblems(merged, file ?? "configuration"));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings: merged, file, warnings };
}

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

/** With a file, OTel's variables do not count: the stock exporters must not find them either. */
export function forgetOtlpVariables(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) if (name.startsWith("OTEL_EXPORTER_OTLP_")) delete env[name];
}

function readVariables(env: NodeJS.ProcessEnv, counts: (name: string) => boolean) {
  const values = new Map<string, unknown>();
  const problems: Problem[] = [];
  const warnings: string[] = [];
  for (const { keys, field } of ROWS) {
    const name = field.env?.find((variable) => counts(variable) && (env[variable] ?? "").trim() !== "");
    if (name === undefined) continue;
    const text = (env[name] as string).trim();
    const result = field.fromText(text);
    if (!("refused" in result)) {
      values.set(keys.join("."), result.value);
      continue;
    }
    const problem = {
      source: "environment",
      path: name,
      found: field.secret ? "(a secret, not shown)" : foundText(text),
      allowed: result.allowed ?? field.allowed,
      remedy: result.remedy ?? `write ${field.allowed}`,
    };
    if (name.startsWith("OTEL_"))
      warnings.push(`${problemText(problem)}\n  the variable is ignored, as OpenTelemetry's specification asks`);
    else problems.push(problem);
  }
  // One variable may be two settings': OTEL_EXPORTER_OTLP_ENDPOINT is for metrics and for spans.
  return { values, problems, warnings: [...new Set(warnings)] };
}

function ignoredVariables(env: NodeJS.ProcessEnv): string[] {
  const names = ROWS.flatMap(({ field }) => field.env ?? []).filter(
    (name) => name.startsWith("OTEL_") && (env[name] ?? "") !== "",
  );
  if (names.length === 0) return [];
  const once = [...new Set(names)].join(", ");
  return [`with a configuration file these variables count only where it names them: ${once}`];
}

/** Brings what OTel lets one state in two ways to one place. */
function merge(settings: Settings, intervalStated: boolean): Settings {
  const { otlp, resource } = settings;
  const scheme = /^(https?:\/\/|unix:)/.test(otlp.endpoint) ? "" : otlp.insecure ? "http://" : "https://";
  const serviceName: Pairs = resource.serviceName === undefined ? {} : { [ATTR_SERVICE_NAME]: resource.serviceName };
  return {
    ...settings,
    interval: intervalStated ? settings.interval : (otlp.readerInterval ?? settings.interval),
    otlp: { ...otlp, endpoint: scheme + otlp.endpoint, headers: { ...otlp.headersList, ...otlp.headers } },
    resource: { ...resource, attributes: { ...resource.attributesList, ...resource.attributes, ...serviceName } },
  };
}

/** What is right alone and wrong together. */
function checkTogether({ otlp, kubernetes }: Settings): Problem[] {
  const problems: Problem[] = [];
  if ((otlp.keyFile === undefined) !== (otlp.certFile === undefined)) {
    problems.push({
      source: "configuration",
      path: "meter_provider.readers[0].periodic.exporter.otlp_grpc.tls",
      found: otlp.keyFile === undefined ? "cert_file without key_file" : "key_file without cert_file",
      allowed: "both or none",
      remedy: "set the other one too (OTEL_EXPORTER_OTLP_CLIENT_KEY, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)",
    });
  }
  if (kubernetes.enabled === "off" && kubernetes.kubeconfig !== undefined) {
    problems.push({
      source: "configuration",
      path: "distribution.flowspan.kubernetes.kubeconfig",
      found: foundText(kubernetes.kubeconfig),
      allowed: "nothing while kubernetes.enabled is off",
      remedy: "remove it, or set kubernetes.enabled to auto",
    });
  }
  return problems;
}
