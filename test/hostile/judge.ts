/**
 * What is wrong with what flowspan makes of a situation: read, refused or taken, in this process.
 *
 * Nothing but a refusal may be thrown, every refusal names its setting and says what to do, whatever is taken can be
 * used, and no secret stands in anything that would be printed.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { type Config, loadConfig, type loadSchemaCheck } from "../../agent/config/load.ts";
import { ConfigError, type Problem } from "../../agent/config/problem.ts";
import { createTransport } from "../../agent/otlp/transport.ts";
import {
  exportedSignals,
  prefixRulesOf,
  probeSettings,
  spanLimits,
  transportOptions,
} from "../../agent/runtime/options.ts";
import { redact } from "../../agent/shared/log.ts";
import type { FixtureFiles } from "./fixtures.ts";
import type { Situation } from "./situations.ts";

type SchemaCheck = Awaited<ReturnType<typeof loadSchemaCheck>>;

/** @returns each fault in a line; none where all is well */
export async function judge(
  { secret, file, env, flags }: Situation,
  fixtures: FixtureFiles,
  checkSchema: SchemaCheck,
): Promise<string[]> {
  const faults: string[] = [];
  const path = join(fixtures.directory, "flowspan.yaml");
  if (file !== undefined) writeFileSync(path, file);
  const printed: string[] = [];
  try {
    const config = loadConfig({ env: { ...env, OTEL_CONFIG_FILE: file && path }, flags, checkSchema });
    printed.push(...config.warnings, JSON.stringify(redact(config.settings)), config.settings.otlp.endpoint);
    faults.push(...(await faultsOfTaken(config, printed)));
  } catch (error) {
    if (error instanceof ConfigError) {
      printed.push(error.message);
      faults.push(...error.problems.flatMap(faultsOfProblem));
    } else faults.push(`threw ${(error as Error).stack}`);
  } finally {
    rmSync(path, { force: true });
  }
  const text = printed.join("\n");
  if (text.includes(secret) || text.includes(fixtures.secret)) faults.push(`printed a secret: ${text}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text))
    faults.push(`printed a control character: ${JSON.stringify(text)}`);
  return faults;
}

function faultsOfProblem(problem: Problem): string[] {
  const empty = Object.entries(problem).filter(([, text]) => text.trim() === "");
  const careless = Object.entries(problem).filter(([, text]) => /\[object |\bundefined\b/.test(text));
  return [...empty, ...careless].map(([name]) => `a problem whose ${name} says nothing: ${JSON.stringify(problem)}`);
}

async function faultsOfTaken(config: Config, printed: string[]): Promise<string[]> {
  const faults: string[] = [];
  const { settings } = config;
  probeSettings(settings, [1n, 2n]);
  prefixRulesOf(settings);
  spanLimits(settings);
  for (const signal of exportedSignals(settings)) {
    const options = transportOptions(config, signal);
    const path = options.protocol === "http/protobuf" ? "/[^\\s?#]*" : "";
    if (!new RegExp(`^https?://[^/]+:\\d+${path}$|^unix:.`).test(options.endpoint))
      faults.push(`an endpoint that is none: ${options.endpoint}`);
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
    try {
      await createTransport(options, signal).shutdown();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      printed.push(error.message);
      faults.push(...error.problems.flatMap(faultsOfProblem));
      const named = error.problems.every(({ path }) => /OTEL_|_file$/.test(path));
      if (!named) faults.push(`a file without its setting: ${error.message}`);
    }
  }
  return faults;
}
