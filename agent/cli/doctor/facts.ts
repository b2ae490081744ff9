/**
 * Collects what `flowspan doctor` judges: asks the probe, the agent, the Collector, the API server and
 * /proc. Changes nothing; every fact that cannot be had is a fact too.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { promisify } from "node:util";
import type { Config } from "../../config/load.ts";
import { ConfigError } from "../../config/problem.ts";
import type { Settings } from "../../config/settings.ts";
import { networkFailure } from "../../kubernetes/failure.ts";
import { FEEDS_OF, resourceOf } from "../../kubernetes/reads.ts";
import { get } from "../../kubernetes/request.ts";
import { feedsOf } from "../../kubernetes/watch-cluster.ts";
import { createTransport, type ExportedSignal, type Transport, unusableWords } from "../../otlp/transport.ts";
import { nameOf } from "../../otlp/trouble.ts";
import { type Cluster, clusterOf } from "../../runtime/cluster.ts";
import { transportOptions } from "../../runtime/options.ts";
import { findProbe } from "../../runtime/probe-process.ts";
import { askAgent } from "../../telemetry/admin-client.ts";
import type { AgentFacts, ConnectedProbe } from "./agent-facts.ts";
import type { NoProbeCheck, ProbeCheck } from "./check-kernel.ts";
import { NODE_MODULES } from "./check-modules.ts";
import { askNode } from "./check-node.ts";
import type { ApiTrouble, CollectorFacts, KubernetesFacts } from "./check-reach.ts";

const PROBE_TIMEOUT_MS = 30_000;
const API_TIMEOUT_MS = 5_000;

/** Runs `flowspan-probe --check`, which exits with 1 where it could not run. */
export async function askProbe({ path, pins }: Settings["probe"]): Promise<ProbeCheck | NoProbeCheck> {
  let program: string;
  try {
    program = findProbe(path);
  } catch (error) {
    return { error: (error as Error).message, remedy: "make build", isNowhere: true };
  }
  const output = await runProbe(program, ["--check", ...(pins === undefined ? [] : ["--pins", pins])]);
  if (typeof output !== "string") return output;
  try {
    return JSON.parse(output) as ProbeCheck;
  } catch (error) {
    return { error: `${program} --check printed no JSON: ${(error as Error).message}`, remedy: `${program} --check` };
  }
}

async function runProbe(program: string, args: readonly string[]): Promise<string | NoProbeCheck> {
  try {
    return (await promisify(execFile)(program, args, { timeout: PROBE_TIMEOUT_MS })).stdout;
  } catch (error) {
    const { stdout, stderr, code } = error as { stdout?: string; stderr?: string; code?: number | string };
    if (code === 1 && stdout !== undefined && stdout !== "") return stdout;
    const last = stderr?.trim().split("\n").at(-1);
    return { error: `${program} --check failed: ${last || (error as Error).message}`, remedy: `${program} --check` };
  }
}

export async function askRunningAgent(socket: string): Promise<AgentFacts> {
  try {
    const { body } = await askAgent(socket, "/readyz");
    const status = (await askAgent(socket, "/status")).body as { hello?: ConnectedProbe | null };
    return {
      socket,
      ready: body as Extract<AgentFacts["ready"], { checks: unknown }>,
      probe: status.hello ?? undefined,
    };
  } catch (error) {
    return { socket, ready: { error: (error as NodeJS.ErrnoException).code ?? (error as Error).message } };
  }
}

/** Sends a request without a single metric: a Collector accepts it and keeps nothing. */
export async function askCollector(config: Config, signal: ExportedSignal): Promise<CollectorFacts> {
  const options = transportOptions(config, signal);
  const timeoutMs = Math.min(5_000, config.settings.otlp.timeout);
  let transport: Transport;
  try {
    transport = createTransport({ ...options, timeoutMs }, signal);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { signal, target: options.endpoint, ...unusableWords(error) };
  }
  const { target } = transport;
  try {
    const outcome = await transport.send(new Uint8Array(0));
    if (outcome.state === "accepted") return { signal, target, failure: undefined };
    const remedy =
      outcome.remedy ?? `start a Collector with an OTLP receiver there, or set ${nameOf(options.names.endpoint)}`;
    return { signal, target, failure: failureText(outcome), remedy };
  } finally {
    await transport.shutdown();
  }
}

/** Tries exactly what the agent's watches do: a list of one object and a watch of one second. */
export async function askKubernetes(settings: Settings, env: NodeJS.ProcessEnv): Promise<KubernetesFacts> {
  let cluster: Cluster | { readonly none: string };
  try {
    cluster = clusterOf(settings, env, { withinMs: API_TIMEOUT_MS });
  } catch (error) {
    return { server: "kubernetes.enabled is on", failure: { found: (error as Error).message } };
  }
  if ("none" in cluster) return { skipped: `not asked: ${cluster.none}` };
  try {
    return await askServer(cluster, settings);
  } finally {
    cluster.connection.close();
  }
}

async function askServer(cluster: Cluster, { kubernetes }: Settings): Promise<KubernetesFacts> {
  const { connection, nodeName } = cluster;
  const failure = await tryGet(cluster, "/version", {});
  if (failure !== undefined) return { server: connection.description, failure };

  const { podLabels, podAnnotations, appLabels, scope, metadata } = kubernetes;
  const feeds = metadata === "directory" ? FEEDS_OF["agent-with-directory"] : feedsOf(scope);
  const trim = { podLabels, podAnnotations, wellKnownLabels: appLabels };
  const rules: Record<string, ApiTrouble | undefined> = {};
  for (const feed of feeds) {
    const { path, query } = resourceOf(feed, nodeName, trim);
    const resource = path.split("/").at(-1) as string;
    const verbs = { list: { limit: "1" }, watch: { watch: "1", timeoutSeconds: "1" } } as const;
    for (const [verb, more] of Object.entries(verbs)) {
      const rule = `${verb} ${resource}`;
      rules[rule] ??= await tryGet(cluster, path, { ...query, ...more });
    }
  }
  // The agent of a directory may not read nodes: its replicas are asked.
  const node = metadata === "directory" ? undefined : await askNode(cluster, API_TIMEOUT_MS);
  return { server: connection.description, rules, node };
}

async function tryGet(
  { connection }: Cluster,
  path: string,
  query: Record<string, string>,
): Promise<ApiTrouble | undefined> {
  try {
    // Each wait within has an end of its own, which says what was waited for.
    const signal = AbortSignal.timeout(4 * API_TIMEOUT_MS);
    const body = await get(connection, { path, query, silenceMs: API_TIMEOUT_MS, signal });
    body.on("error", () => undefined); // its status is all that was asked for
    body.destroy();
    return undefined;
  } catch (error) {
    const { message, remedy } = networkFailure(error);
    return { found: message, ...(remedy !== undefined && { remedy }) };
  }
}

/** Modules of NODE_MODULES that are loaded, can be loaded on demand, or are built in. */
export function presentModules(): ReadonlySet<string> {
  const symbols = new Set(
    [...readText("/proc/kallsyms").matchAll(/^\S+ \S (\S+)/gm)].map((match) => match[1] as string),
  );
  const directory = `/lib/modules/${release()}`;
  const listed = readText(`${directory}/modules.dep`) + readText(`${directory}/modules.builtin`);
  const there = NODE_MODULES.filter(({ name, symbol }) => {
    const file = new RegExp(`/${name.replaceAll("_", "[_-]")}\\.ko`);
    return existsSync(`/sys/module/${name}`) || symbols.has(symbol) || file.test(listed);
  });
  return new Set(there.map(({ name }) => name));
}

/** Kernels before bacec5b9b6a6 (5.11) charge BPF maps to RLIMIT_MEMLOCK, in this function. */
export function chargesMemlock(): boolean {
  return / bpf_map_charge_init$/m.test(readText("/proc/kallsyms"));
}

/** A kubelet works here, or we run in one of its pods. */
export function isClusterNode(env: NodeJS.ProcessEnv): boolean {
  return existsSync("/var/lib/kubelet") || (env.KUBERNETES_SERVICE_HOST ?? "") !== "";
}

/** A file's text; empty where it is missing or unreadable, which the checks that use it take as "not there". */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const failureText = ({ reason, message }: { readonly reason: string; readonly message?: string }): string =>
  message === undefined || message === "" ? reason : `${reason}: ${message}`;
