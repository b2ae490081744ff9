/**
 * `flowspan directory`: watches the whole cluster once and tells agents who their peers are.
 *
 *   API server ──► watches ──► store ──► gRPC streams of agents
 *
 * Every replica does all of it for itself: there is no leader and nothing is shared. Ready says that the
 * cluster has been read; alive, that no watch stands still.
 */
import { hostname, uptime } from "node:os";
import { collectRegularly } from "../collect.ts";
import { type ConfigSources, configFile, loadConfig, loadSchemaCheck } from "../config/load.ts";
import { secretsOf } from "../config/options.ts";
import { serveHealth } from "../directory/health.ts";
import { DirectoryServer } from "../directory/server.ts";
import { FEEDS_OF } from "../kubernetes/reads.ts";
import { watchCluster } from "../kubernetes/watch-cluster.ts";
import { createLog, type Log } from "../log.ts";
import { VERSION } from "../version.ts";
import { clusterOf } from "./cluster.ts";
import { type Command, EXIT, type Flags, type Terminal } from "./command.ts";

export const directoryCommand: Command = {
  name: "directory",
  summary: "answer agents who their peers are, from one watch of the cluster",
  usage: "[SETTINGS]",
  about: [
    "Watches pods, Services, EndpointSlices and nodes, and tells agents who had which address when, with updates.",
    "Agents ask it with kubernetes.metadata: directory. Run two replicas or more; each works alone.",
    "Needs a certificate (directory.cert_file, key_file) and a way to know agents: ca_file, token_file, or both.",
  ].join("\n"),
  examples: [
    ["flowspan directory --config /etc/flowspan/flowspan.yaml", "in a pod, as deploy/manifests/directory does"],
    ["flowspan directory --kubeconfig ~/.kube/config --listen 127.0.0.1:9483", "outside of the cluster"],
  ],
  options: {},
  settings: ["config", "listen", "kubeconfig", "admin-address", "log-level"],
  positionals: [],
  run: (flags, _, terminal) => directory(flags, terminal),
};

async function directory(flags: Flags, { env }: Terminal): Promise<number> {
  const plain: ConfigSources = { env: { ...env }, flags };
  const sources = configFile(plain) === undefined ? plain : { ...plain, checkSchema: await loadSchemaCheck() };
  const { settings, warnings } = loadConfig(sources);
  const log = createLog({ level: settings.logLevel, secrets: secretsOf(settings) });
  for (const warning of warnings) log.warn({ warning: warning.split("\n") }, "about the configuration");
  const cluster = clusterOf({ ...settings, kubernetes: { ...settings.kubernetes, enabled: "on" } }, sources.env);
  if ("none" in cluster) throw new Error(cluster.none);

  const stop = new AbortController();
  const stopped = onSignals(stop, log);
  const nowMs = () => uptime() * 1000;
  const ageMs = () => Math.max(0, ...watch.states().map((state) => state.ageMs));
  const server = new DirectoryServer(FEEDS_OF.directory, {
    ...settings.directory,
    ...{ replica: hostname(), log, nowMs, ageMs },
  });
  const collect = collectRegularly();
  const watch = watchCluster({
    ...cluster,
    ...{ scope: "all", feeds: FEEDS_OF.directory, podLabels: [], podAnnotations: [] },
    wellKnownLabels: settings.kubernetes.appLabels,
    onChange: (change) => {
      server.store.apply(change);
      collect();
    },
    log,
  });
  const closing: (() => Promise<void>)[] = [() => watch.stop()];
  try {
    const port = await server.listen();
    closing.push(() => server.close());
    const { address } = settings.admin;
    const metadata = () => watch.states();
    const memory = () => process.memoryUsage();
    const status = () => ({
      version: VERSION,
      memory: memory(),
      directory: server.stats(),
      kubernetes: watch.states(),
    });
    if (address !== undefined) closing.push(await serveHealth(address, { metadata, status }));
    const fields = { version: VERSION, server: cluster.connection.description, port };
    log.info(fields, "flowspan directory");
    await stopped;
  } finally {
    for (const close of closing.reverse()) await close();
  }
  log.info({}, "stopped");
  return EXIT.ok;
}

function onSignals(stop: AbortController, log: Log): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(EXIT.failed); // asked twice: at once
      log.info({ signal: name }, "stopping: agents go to another replica");
      stop.abort();
      resolve();
    });
  }
  return promise;
}
