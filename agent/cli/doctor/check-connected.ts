/**
 * What doctor says where no flowspan-probe is beside the agent, as in the agent's own container: the word of
 * the probe that the running agent is connected to. Facts in, judgements out. Pure.
 *
 * HELLO tells which features the probe has attached and found, not how the machine looks to its process:
 * privileges, mounts and what has no feature of its own are asked there.
 */
import type { Feature } from "../../generated/layout.ts";
import { hasFeature } from "../../model/feature.ts";
import type { AgentFacts } from "./agent-facts.ts";
import { type NoProbeCheck, WITHOUT_STORAGES } from "./check-kernel.ts";
import { type Finding, ok } from "./finding.ts";

interface FeatureWords {
  readonly name: string;
  readonly lost: string;
}

/** Each feature's finding, and what is lost without it: a hook's words are those of bpf/load/features.c. */
export const FEATURES: Readonly<Record<keyof typeof Feature, FeatureWords>> = {
  FEATURE_RETRANSMIT: { name: "hook tcp_retransmit_skb", lost: "retransmits are counted without their type" },
  FEATURE_RETRANSMIT_SYNACK: { name: "hook tcp_retransmit_synack", lost: "SYN-ACKs sent again are not counted" },
  FEATURE_SEND_RESET: { name: "hook tcp_send_reset", lost: "resets sent are not counted" },
  FEATURE_RECEIVE_RESET: { name: "hook tcp_receive_reset", lost: "resets received are not counted" },
  FEATURE_CGROUP_NAMES: { name: "cgroup names", lost: "pods and units have no names" },
  FEATURE_CGROUP_V2: { name: "cgroup v2", lost: "containers are told apart by net namespace and address only" },
  FEATURE_PROC_SNMP: { name: "host's /proc", lost: "coverage: nothing says how much of the traffic was seen" },
  FEATURE_DROPS: { name: "hook kfree_skb", lost: "dropped packets are not counted" },
  FEATURE_NEIGHBOURS: { name: "hook neigh_timer_handler", lost: "neighbours that do not answer are not counted" },
  FEATURE_WALK_STORAGES: { name: "iterator bpf_sk_storage_map", lost: WITHOUT_STORAGES },
  FEATURE_WHOLE_MACHINE: {
    name: "whole machine",
    lost: "sockets outside of probe.cgroup; so readiness cannot tell when the agent is blind",
  },
};

/** The probe's own process knows the rest, and why a feature is missing. */
const ASK = "flowspan-probe --check --pins DIR, as the probe itself is run";
const ASK_IN_POD =
  "kubectl -n flowspan exec ds/flowspan-probe -- flowspan-probe --check --pins /bpf/flowspan (or that node's pod)";

export function checkConnected(
  none: NoProbeCheck,
  { socket, ready, probe }: AgentFacts,
  inCluster: boolean,
): Finding[] {
  const name = "probe program";
  const remedy = inCluster ? ASK_IN_POD : ASK;
  const lost = "nothing can be counted";
  if ("error" in ready) return [{ name, state: "fail", found: none.error, lost, remedy: none.remedy }];
  const trouble = ready.checks.find((check) => check.name === "probe" && !check.ok)?.detail;
  if (probe === undefined || trouble !== undefined) {
    const found = `none here, and the agent on ${socket} has no probe: ${trouble ?? "it has told of none"}`;
    const logs = "kubectl -n flowspan logs ds/flowspan-probe";
    return [{ name, state: "fail", found, lost, remedy: inCluster ? logs : remedy }];
  }
  return [
    ok(name, `none here; what follows is the word of the one that the agent has (protocol ${probe.protocol})`),
    ok("kernel", `Linux ${probe.kernel}`),
    ok("hook inet_sock_set_state", "attached, or the probe would not run"),
    ...Object.entries(FEATURES).map(([feature, { name, lost }]): Finding => {
      if (hasFeature(BigInt(probe.features), feature as keyof typeof Feature)) return ok(name, "the probe has it");
      return { name, state: "warn", found: "the probe lacks it", lost, remedy };
    }),
    ok("not asked", `other hooks, privileges and mounts: ${remedy}`),
  ];
}
