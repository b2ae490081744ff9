/**
 * `flowspan directory`: watches the whole cluster once and tells agents who their peers are.
 *
 *   API server ──► watches ──► store ──► gRPC streams of agents
 *
 * Every replica does all of it for itself: there is no leader and nothing is shared. Ready says that the
 * cluster has been read; alive, that no watch stands still.
 */
import { hostname, uptime } from "node:os";
import { type Config, type ConfigSources, configFile, loadConfig, loadSchemaCheck } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { DirectoryServer } from "../directory/server/directory-server.ts";
import { serveHealth } from "../directory/server/readiness.ts";
import type { ReviewOptions } from "../directory/server/reviewed-tokens.ts";
import { FEEDS_OF } from "../kubernetes/reads.ts";
import { reviewToken } from "../kubernetes/token-review.ts";
import { watchCluster } from "../kubernetes/watch-cluster.ts";
import { proxyWarnings } from "../otlp/proxy-warnings.ts";
import { createTransport } from "../otlp/transport.ts";
import { type Cluster, clusterOf } from "../runtime/cluster.ts";
import { checkServing } from "../runtime/directory-problems.ts";
import { exportsMetrics, secretsOf, transportOptions } from "../runtime/options.ts";
import { collectRegularly } from "../shared/force-gc.ts";
import type { HealthListener } from "../shared/health-listener.ts";
import { createLog, type Log } from "../shared/log.ts";
import { VERSION } from "../shared/own-version.ts";
import { hide, secretsIn } from "../shared/scrub.ts";
import { type DirectoryState, startDirectoryMetrics } from "../telemetry/directory-metrics.ts";
import { selfExport } from "../telemetry/export-options.ts";
import { type Command, EXIT, type Flags, type Terminal } from "./command.ts";

export const directoryCommand: Command = {
  name: "directory",
  summary: "answer agents who their peers are, from one watch of the cluster",
  usage: "[SETTINGS]",
  about: [
    "Watches pods, Services, EndpointSlices and nodes, and tells agents who had which address when, with updates.",
    "Agents ask it with kubernetes.metadata: directory. Run two replicas or more; each works alone.",
    "Needs a certificate (directory.cert_file, key_file) and a way to know agents: ca_file, token_file, or both.",
    "Answers /healthz and /readyz on --admin-address, and /status there to its own host alone.",
    "Exports its own metrics over OTLP.",
    "SIGTERM and SIGINT send agents to the other replicas and end; a second one ends at once.",
  ].join("\n"),
  examples: [
    ["flowspan directory --config /etc/flowspan/flowspan.yaml", "in a pod, as deploy/manifests/directory does"],
    [
      "flowspan directory --config flowspan.yaml --kubeconfig ~/.kube/config --listen 127.0.0.1:9483",
      "outside of the cluster; the file names the certificate and the tokens",
    ],
    [
      "curl -s http://localhost:9480/status | jq .directory",
      "agents, addresses, answers and refusals of one that has --admin-address :9480",
    ],
  ],
  options: {},
  settings: ["config", "listen", "kubeconfig", "admin-address", "endpoint", "interval", "log-level"],
  positionals: [],
  run: (flags, _, terminal) => directory(flags, terminal),
};

async function directory(flags: Flags, { env }: Terminal): Promise<number> {
  const plain: ConfigSources = { env: { ...env }, flags };
  const sources = configFile(plain) === undefined ? plain : { ...plain, checkSchema: await loadSchemaCheck() };
  const config = loadConfig(sources);
  const { settings, warnings, file } = config;
  checkServing(settings, file ?? "configuration");
  const secrets = [...secretsOf(settings), ...secretsIn(sources.env)];
  hide(secrets);
  const log = createLog({ level: settings.logLevel, secrets });
  for (const warning of [...warnings, ...proxyWarnings([settings.otlp.protocol], sources.env)])
    log.warn({ warning: warning.split("\n") }, "about the configuration");
  const cluster = clusterOf({ ...settings, kubernetes: { ...settings.kubernetes, enabled: "on" } }, sources.env);
  if ("none" in cluster) throw new Error(cluster.none);
  await serve(cluster, config, untilSignal(log), log);
  log.info({}, "stopped");
  return EXIT.ok;
}

/** Serves until `stopped`, then lets agents go first: they are elsewhere before the rest ends. */
async function serve(cluster: Cluster, config: Config, stopped: Promise<void>, log: Log): Promise<void> {
  const { settings } = config;
  const { server, watch } = startWatching(cluster, settings, log);
  let health: HealthListener | undefined;
  const state: DirectoryState = {
    metadata: () => watch.states(),
    stats: () => server.stats(),
    adminRefusals: () => health?.refusals() ?? {},
  };
  const closing: (() => Promise<void>)[] = [() => watch.stop()];
  try {
    const { address } = settings.admin;
    const { metadata } = state;
    if (address !== undefined) {
      const listener = await serveHealth(address, { metadata, status: () => statusOf(state) });
      health = listener;
      closing.push(() => listener.close());
    }
    if (exportsMetrics(settings)) closing.push(startSelf(config, state, log));
    const port = await server.listen();
    closing.push(() => server.close());
    const fields = { version: VERSION, server: cluster.connection.description, port, endpoint: settings.otlp.endpoint };
    log.info(fields, "flowspan directory");
    await stopped;
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

function startWatching(cluster: Cluster, settings: Settings, log: Log) {
  const nowMs = () => uptime() * 1000;
  const ageMs = () => Math.max(0, ...watch.states().map((state) => state.ageMs));
  const { appLabels } = settings.kubernetes;
  const { tokenAudience: audience, serviceAccounts: accounts } = settings.directory;
  const review: ReviewOptions["review"] = (token, audience) => reviewToken(cluster.connection, token, audience);
  const server = new DirectoryServer(FEEDS_OF.directory, {
    ...settings.directory,
    ...{ replica: hostname(), appLabels, log, nowMs, ageMs },
    reviews: audience === undefined ? undefined : { audience, accounts, review, nowMs },
  });
  const collect = collectRegularly();
  const watch = watchCluster({
    ...cluster,
    ...{ scope: "all", feeds: FEEDS_OF.directory, podLabels: [], podAnnotations: [] },
    wellKnownLabels: appLabels,
    onChange: (change) => {
      server.store.apply(change);
      collect();
    },
    log,
  });
  return { server, watch };
}

function statusOf({ metadata, stats, adminRefusals }: DirectoryState): object {
  const memory = process.memoryUsage();
  return { version: VERSION, memory, directory: stats(), kubernetes: metadata(), adminRefusals: adminRefusals() };
}

/** @returns what ends it */
function startSelf(config: Config, state: DirectoryState, log: Log): () => Promise<void> {
  const transport = createTransport(transportOptions(config, "metrics"));
  const { attributes, options } = selfExport("flowspan-directory", config.settings, transport);
  const self = startDirectoryMetrics(state, attributes, options, log);
  return async () => {
    await self.shutdown();
    await transport.shutdown();
  };
}

function untilSignal(log: Log): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isStopping = false;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (isStopping) process.exit(EXIT.failed); // asked twice: at once
      isStopping = true;
      log.info({ signal: name }, "stopping: agents go to another replica");
      resolve();
    });
  }
  return promise;
}
