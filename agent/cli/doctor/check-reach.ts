/**
 * What answers from here: the running agent, the Collector, the Kubernetes API. Facts in, judgements out. Pure.
 */

import type { AgentFacts } from "./agent-facts.ts";
import { checkNode, type NodeFacts } from "./check-node.ts";
import { type Finding, ok } from "./finding.ts";

/** A running agent, where there is one: doctor also runs before the first. */
export function checkAgent({ socket, ready }: AgentFacts): Finding {
  const name = "agent";
  if ("error" in ready) return ok(name, `none answers on ${socket} (${ready.error})`);
  const troubles = ready.checks.filter((check) => !check.ok).map((check) => `${check.name}: ${check.detail}`);
  if (troubles.length === 0) return ok(name, `runs and is ready (${socket})`);
  return {
    name,
    state: "warn",
    found: troubles.join("; "),
    lost: "no fresh data",
    remedy: `curl --unix-socket ${socket} http://agent/status`,
  };
}

export interface CollectorFacts {
  readonly signal: "metrics" | "traces" | "logs";
  readonly target: string;
  /** Why an empty export was not accepted; undefined when it was. */
  readonly failure: string | undefined;
  readonly remedy?: string;
}

/** Without metrics there is nothing; without spans and findings the numbers are as exact. */
const COLLECTOR_CHECKS = {
  metrics: {
    name: "Collector",
    state: "fail",
    lost: "nothing arrives; counters wait in the kernel until it answers",
  },
  traces: {
    name: "Collector, spans",
    state: "warn",
    lost: "no span arrives; they wait, and then are dropped and counted",
  },
  logs: {
    name: "Collector, findings",
    state: "warn",
    lost: "no finding arrives as a log record; they wait, and then are dropped and counted",
  },
} as const;

export function checkCollector({ signal, target, failure, remedy = "" }: CollectorFacts): Finding {
  const { name, state, lost } = COLLECTOR_CHECKS[signal];
  if (failure === undefined) return ok(name, `${target} accepts OTLP`);
  return { name, state, found: `${target}: ${failure}`, lost, remedy };
}

export interface ApiTrouble {
  readonly found: string;
  readonly remedy?: string;
}

export interface KubernetesFacts {
  /** Why no API server is asked: switched off, or nothing names one. */
  readonly skipped?: string;
  readonly server?: string;
  /** Why the server cannot be reached. */
  readonly failure?: ApiTrouble;
  /** By `verb resource`: why it does not work; undefined where it does. */
  readonly rules?: Readonly<Record<string, ApiTrouble | undefined>>;
  /** This node, where nodes can be read. */
  readonly node?: NodeFacts | undefined;
}

const RESOURCE_LOSS: Readonly<Record<string, string>> = {
  pods: "pods have no names",
  services: "Services have no names",
  endpointslices: "peers behind Services have no names",
  nodes: "nodes have no names",
  namespaces: "the cluster has no id",
};

export function checkKubernetes({ skipped, server = "", failure, rules = {}, node }: KubernetesFacts): Finding[] {
  if (skipped !== undefined) return [ok("API server", skipped)];
  const name = "API server";
  if (failure !== undefined) {
    const { found, remedy = "kubectl get --raw /readyz; check the service account, or kubernetes.kubeconfig" } =
      failure;
    return [
      { name, state: "warn", found: `${server}: ${found}`, lost: "pods, Services and nodes have no names", remedy },
    ];
  }
  const findings = Object.entries(rules).map(([rule, trouble]): Finding => {
    const [verb = "", resource = ""] = rule.split(" ");
    if (trouble === undefined) return ok(`RBAC ${rule}`, "allowed");
    const { found, remedy = `kubectl auth can-i ${verb} ${resource}; apply deploy/manifests` } = trouble;
    return { name: `RBAC ${rule}`, state: "warn", found, lost: RESOURCE_LOSS[resource] ?? "names", remedy };
  });
  return [ok(name, `${server} answers`), ...findings, ...(node === undefined ? [] : [checkNode(node)])];
}
