/**
 * `flowspan agent`: the main job, from the command line to the last settled exchange.
 *
 *   configuration → (as root: start the probe, then become nobody) → run until a signal → flush
 */
import { type ConfigSources, configFile, loadConfig, loadSchemaCheck } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { proxyWarnings } from "../otlp/proxy-warnings.ts";
import { Recorder } from "../recording/recorder.ts";
import { runAgent } from "../runtime/assemble.ts";
import { protocolsOf, secretsOf } from "../runtime/options.ts";
import {
  dropPrivileges,
  forbidsNewPrivileges,
  heldCapabilities,
  isRoot,
  threadStatuses,
} from "../runtime/privileges.ts";
import { isListening, makeOwnDirectory, startProbe } from "../runtime/probe-process.ts";
import { LiveConfig } from "../runtime/reload.ts";
import type { SpawnedProbe } from "../runtime/spawn-probe.ts";
import { createLog, type Log } from "../shared/log.ts";
import { VERSION } from "../shared/own-version.ts";
import { hide, secretsIn } from "../shared/scrub.ts";
import { type FileWatch, watchFile } from "../shared/watched-file.ts";
import { answersOn, unusablePlace } from "../telemetry/admin-server.ts";
import { type Command, EXIT, type Flags, type Terminal } from "./command.ts";

export const agentCommand: Command = {
  name: "agent",
  summary: "read the kernel's books and export them as OpenTelemetry metrics",
  usage: "[--record FILE] [SETTINGS]",
  about: [
    "Asks the probe for what has grown, names both ends, and exports OTLP metrics to a Collector.",
    "As root it starts the probe itself where none listens, and then becomes an unprivileged user.",
    "SIGTERM and SIGINT flush and end; SIGHUP reads the configuration file again.",
  ].join("\n"),
  examples: [
    ["sudo flowspan agent", "this machine, to the Collector on localhost:4317"],
    ["sudo flowspan agent --endpoint http://collector:4317 --interval 5000", "another Collector, every 5 seconds"],
    ["flowspan agent --config /etc/flowspan/flowspan.yaml", "in a container beside the probe, without privileges"],
    ["sudo flowspan agent --record /var/tmp/flowspan.rec.gz", "keep what the probe says, for flowspan replay"],
  ],
  options: {
    record: {
      type: "string",
      placeholder: "FILE",
      summary: "Record the probe's stream; compressed when FILE ends in .gz.",
    },
    "until-stdin-closes": { type: "boolean", summary: "End when stdin closes: for programs that start an agent." },
  },
  settings: "all",
  positionals: [],
  run: (flags, _, terminal) => agent(flags, terminal),
};

async function agent(flags: Flags, { env }: Terminal): Promise<number> {
  const plain: ConfigSources = { env: { ...env }, flags };
  const sources = configFile(plain) === undefined ? plain : { ...plain, checkSchema: await loadSchemaCheck() };
  const config = loadConfig(sources);
  const { settings } = config;
  const secrets = [...secretsOf(settings), ...secretsIn(sources.env)];
  hide(secrets);
  const log = createLog({ level: settings.logLevel, secrets });
  for (const warning of [...config.warnings, ...proxyWarnings(protocolsOf(config.settings), sources.env)])
    log.warn({ warning: warning.split("\n") }, "about the configuration");
  if (await answersOn(settings.admin.socket)) {
    throw new Error(`another agent answers on ${settings.admin.socket}: stop it, or choose another --admin-socket`);
  }

  const stop = new AbortController();
  onSignals(stop, log);
  if (flags["until-stdin-closes"]) process.stdin.once("close", () => stop.abort()).resume();
  const recorder = typeof flags.record === "string" ? openRecorder(flags.record, log) : undefined;
  const probe = isRoot() && !(await isListening(settings)) ? await startProbe(settings, log) : undefined;
  let watch: FileWatch | undefined;
  try {
    becomeNobody(settings);
    warnOfNewPrivileges(log);
    const { interval, otlp } = settings;
    log.info({ version: VERSION, uid: process.getuid?.(), interval, endpoint: otlp.endpoint }, "flowspan agent");
    const live = new LiveConfig(config, sources, log);
    watch = startReload(live, log);
    const failure = probe === undefined ? undefined : watchProbe(probe, stop, log);
    await runAgent({ live, env: sources.env, log, recorder, stop: stop.signal });
    log.info({}, "stopped");
    return failure?.() ? EXIT.failed : EXIT.ok;
  } finally {
    watch?.close();
    await recorder?.close();
    await probe?.close();
  }
}

/** Gives up root where we have it; refuses to go on with any capability. */
function becomeNobody({ user, admin }: Settings): void {
  if (isRoot()) {
    try {
      makeOwnDirectory(admin.socket, user);
    } catch (error) {
      throw unusablePlace(admin.socket, error);
    }
    dropPrivileges({ uid: user, gid: user });
  }
  const held = heldCapabilities(threadStatuses());
  if (held.length === 0) return;
  const remedy = "drop them all (securityContext.capabilities.drop: [ALL])";
  throw new Error(`the agent must run without capabilities, but holds ${held.join(", ")}: ${remedy}`);
}

/** Node cannot ask the kernel for it; whoever starts the agent can. */
function warnOfNewPrivileges(log: Log): void {
  if (forbidsNewPrivileges(threadStatuses())) return;
  const remedy =
    "start it by ./flowspan, with systemd's NoNewPrivileges=yes, or allowPrivilegeEscalation: false in a pod";
  log.warn({ remedy }, "a program that this agent starts could win rights (no_new_privs is not set)");
}

/** A supervisor that ends is not started again by us: we have no right to. @returns whether that happened */
function watchProbe(probe: SpawnedProbe, stop: AbortController, log: Log): () => boolean {
  let failed = false;
  void probe.ended.then((reason) => {
    if (stop.signal.aborted) return;
    failed = true;
    log.error({ reason }, "the probe has ended for good");
    stop.abort();
  });
  return () => failed;
}

function startReload(live: LiveConfig, log: Log): FileWatch | undefined {
  const { file } = live;
  process.on("SIGHUP", () => {
    if (file === undefined) log.info({}, "SIGHUP: there is no configuration file to read again");
    else live.reload();
  });
  if (file === undefined) return undefined;
  const onWatchFailed = (error: Error) =>
    log.warn({ file, error }, "the file's directory cannot be watched: its content is compared every 5 seconds");
  return watchFile(file, () => live.reload(), { onWatchFailed });
}

/** Opens the file while that may still take root. */
function openRecorder(path: string, log: Log): Recorder {
  try {
    return new Recorder({ path, log });
  } catch (error) {
    throw new Error(`cannot record to ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function onSignals(stop: AbortController, log: Log): void {
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(EXIT.failed); // asked twice: at once
      log.info({ signal: name }, "stopping: one last exchange");
      stop.abort();
    });
  }
}
