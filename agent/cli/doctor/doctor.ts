/**
 * `flowspan doctor`: what this kernel and this cluster allow, what is lost without the rest, what to do.
 */
import { loadConfig, loadSchemaCheck } from "../../config/load.ts";
import { FLOWSPAN_PROTOCOL } from "../../generated/layout.ts";
import { socketStorageOf } from "../../model/feature.ts";
import type { SocketStorage } from "../../model/probe-memory.ts";
import { exportedSignals, secretsOf } from "../../runtime/options.ts";
import { hide, scrub, secretsIn } from "../../shared/scrub.ts";
import { type Command, EXIT, type Flags, type Terminal, wantsColour } from "../command.ts";
import type { AgentFacts } from "./agent-facts.ts";
import { checkConnected } from "./check-connected.ts";
import { askDirectory, checkDirectory } from "./check-directory.ts";
import { checkKernel, checkMemlock, checkProbeProgram, type NoProbeCheck, type ProbeCheck } from "./check-kernel.ts";
import { askKubeconfigFiles, checkKubeconfigFiles } from "./check-kubeconfig.ts";
import { checkMemory } from "./check-memory.ts";
import { checkModules } from "./check-modules.ts";
import { checkAgent, checkCollector, checkKubernetes } from "./check-reach.ts";
import { checkSpans, spanFacts } from "./check-spans.ts";
import {
  askCollector,
  askKubernetes,
  askProbe,
  askRunningAgent,
  chargesMemlock,
  isClusterNode,
  presentModules,
} from "./facts.ts";
import { canRun, type Finding, findingsText } from "./finding.ts";

export const doctorCommand: Command = {
  name: "doctor",
  summary: "say what works here, what is lost without the rest, and how to mend it",
  usage: "[--json] [SETTINGS]",
  about: [
    "Checks the kernel, every hook, the mounts, the privileges, the Collector, the Kubernetes API and the directory.",
    "Changes nothing and leaves nothing behind. The exit code is 0 when the main job can run here.",
  ].join("\n"),
  examples: [
    ["sudo flowspan doctor", "everything, for people"],
    ["sudo flowspan doctor --json | jq '.findings[] | select(.state != \"ok\")'", "what is not as it should be"],
  ],
  options: { json: { type: "boolean", summary: "Print JSON." } },
  settings: "all",
  positionals: [],
  run: (flags, _, terminal) => doctor(flags, terminal),
};

async function doctor(flags: Flags, terminal: Terminal): Promise<number> {
  const { env, stdout } = terminal;
  const config = loadConfig({ env, flags, checkSchema: await loadSchemaCheck() });
  const { settings } = config;
  hide([...secretsOf(settings), ...secretsIn(env)]);
  const [probe, agent, collectors, kubernetes, files, directory] = await Promise.all([
    askProbe(settings.probe),
    askRunningAgent(settings.admin.socket),
    Promise.all(exportedSignals(settings).map((signal) => askCollector(config, signal))),
    askKubernetes(settings, env),
    askKubeconfigFiles(settings),
    askDirectory(settings, env),
  ]);
  const inCluster = isClusterNode(env);
  const findings: Finding[] = [
    ...checkProbe(probe, agent, inCluster),
    checkMemory(settings.probe.edges, socketStorage(probe, agent)),
    ...checkModules(presentModules(), inCluster),
    checkAgent(agent),
    ...collectors.map(checkCollector),
    checkSpans(spanFacts(settings, inCluster)),
    ...checkKubernetes(kubernetes),
    ...checkKubeconfigFiles(files),
    ...checkDirectory(directory),
  ];
  const works = canRun(findings);
  // A server's own words may hold what it was sent.
  const report = flags.json
    ? `${JSON.stringify({ canRun: works, findings }, null, 2)}\n`
    : findingsText(findings, wantsColour(terminal));
  stdout.write(scrub(report));
  return works ? EXIT.ok : EXIT.failed;
}

function socketStorage(probe: ProbeCheck | NoProbeCheck, { probe: connected }: AgentFacts): SocketStorage {
  if ("error" in probe) return socketStorageOf(connected && BigInt(connected.features));
  return probe.iterators.bpf_sk_storage_map || !probe.load.ok ? "in the socket" : "by address";
}

/** The probe's program knows most; where there is none, as in the agent's container, the running probe's word counts. */
function checkProbe(probe: ProbeCheck | NoProbeCheck, agent: AgentFacts, inCluster: boolean): Finding[] {
  if (!("error" in probe)) {
    const memlock = checkMemlock(probe.memlock, chargesMemlock());
    return [checkProbeProgram(probe, FLOWSPAN_PROTOCOL), ...checkKernel(probe), memlock];
  }
  return probe.isNowhere ? checkConnected(probe, agent, inCluster) : [checkProbeProgram(probe, FLOWSPAN_PROTOCOL)];
}
