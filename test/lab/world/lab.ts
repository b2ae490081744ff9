/**
 * A cluster in a box: startLab() builds what describe.ts described and gives handles on it; close() removes
 * every trace. Needs root, cgroup v2 and the programs of `make -C test`.
 *
 * All nodes share one kernel, as in kind: an agent for one node is limited to that node's cgroup.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ApiObject } from "../../kubernetes/kubernetes-objects.ts";
import { enterArguments, LabProcess, type Place, type Start } from "../programs/process.ts";
import { type Output, output, program } from "../programs/run.ts";
import {
  type ClientJob,
  type ClientOptions,
  type Counts,
  clientArguments,
  type ServeOptions,
  serveArguments,
  Workload,
} from "../programs/workload.ts";
import { buildCgroups, containerCgroup, findCgroupMount, unitCgroup } from "./cgroups.ts";
import { limitConntrack, restoreConntrack } from "./conntrack.ts";
import type { Addresses, Description, PodDescription, ServiceDescription } from "./describe.ts";
import {
  applyRules,
  cutLink,
  type DelayFault,
  type Fault,
  faultRules,
  linkLossRules,
  muteNeighbours,
  type RuleInput,
  slowLink,
} from "./faults.ts";
import type { Family } from "./iptables.ts";
import { type KernelBooks, readKernelBooks, readSockets, type SocketDetail } from "./kernel-books.ts";
import { labObjects } from "./lab-objects.ts";
import { recordLab, removeLab, runDirectory, sweep } from "./leftovers.ts";
import { limitNeighbourTable, restoreNeighbourTables } from "./neighbours.ts";
import { buildNetwork, namespaceFile } from "./network.ts";
import { nodeNamespace, podNamespace } from "./network-plan.ts";

/** Where processes run: a pod's container, or a unit on a node. */
export interface LabPlace {
  readonly name: string;
  readonly ips: Addresses;
  readonly place: Required<Pick<Place, "cgroup" | "netns">>;
  /** A server that listens when the promise resolves. */
  serve(options: ServeOptions): Promise<Workload>;
  /** A client that runs until it ends or is closed. */
  start(job: ClientJob, options: ClientOptions): Workload;
  /** A client that ends by itself; gives its final counts. */
  play(job: ClientJob, options: ClientOptions): Promise<Counts>;
  /** Any other process. */
  spawn(argv: readonly string[], start?: Start): LabProcess;
  /** Runs a command to its end. */
  exec(argv: readonly string[]): Promise<Output>;
  books(): Promise<KernelBooks>;
  sockets(filter?: readonly string[]): Promise<SocketDetail[]>;
}

export interface Lab {
  /** Prefix of all names of this lab on the machine. */
  readonly id: string;
  readonly description: Description;
  /** The first container of a pod, by the pod's key. */
  pod(key: string, container?: string): LabPlace;
  /** The first container of a pod that takes the place of the one of `key`: see successor() in describe.ts. */
  follow(key: string, pod: PodDescription): LabPlace;
  /** A process of the node itself, in its own systemd unit. */
  host(node: string, unit: string): LabPlace;
  service(name: string): ServiceDescription;
  /** The v2 cgroup directory that holds all of a node: what its agent is limited to. */
  nodeCgroup(node: string): string;
  /** For processes that serve the lab and belong to no node: agents, relays. */
  readonly outsideCgroup: string;
  /** Loses packets on a link, both ways. */
  loss(a: string, b: string, probability: number): Promise<Fault>;
  /** Loses all that goes from one node to another, one way, without a trace on either. */
  cut(from: string, to: string): Promise<Fault>;
  /** No ARP request between two nodes is answered any more. */
  mute(a: string, b: string): Promise<Fault>;
  /** Drops or rejects packets of one direction, like a NetworkPolicy. */
  drop(rule: RuleInput): Promise<Fault>;
  /** Adds travel time to a link, each way. */
  delay(a: string, b: string, delayMs: number): Promise<DelayFault>;
  /** Gives the neighbour table that many places, for the whole machine: close the lab soon. */
  limitNeighbourTable(family: Family, entries: number): Fault;
  /** Lets each net namespace track that many connections, on the whole machine: close the lab soon. */
  limitConntrack(entries: number): Fault;
  /** For the fake or a real API server. */
  kubernetesObjects(): ApiObject[];
  /** Ends all processes and removes all that was made. */
  close(): Promise<void>;
}

let labs = 0;

/** Builds a lab. Removes labs that were left by killed runs first. */
export async function startLab(description: Description): Promise<Lab> {
  for (const name of ["enter", "delay", "workload"] as const)
    if (!existsSync(program(name))) throw new Error(`${program(name)} is missing: make -C test`);
  sweep();
  const id = `flowspan-lab-${process.pid.toString(36)}${(labs++).toString(36)}`;
  const mount = findCgroupMount();
  recordLab(id);
  const remove = removeAtExit(id);
  try {
    buildCgroups(mount, id, description);
    await buildNetwork(id, description);
    const lab = labOf(id, mount, description, remove);
    for (const { between, delayMs, loss } of description.links) {
      if (delayMs > 0) await lab.delay(...between, delayMs);
      if (loss > 0) await lab.loss(...between, loss);
    }
    return lab;
  } catch (error) {
    remove();
    throw error;
  }
}

/** Labs of this process that stand. */
const standing = new Map<string, () => void>();

/** Gives the function that removes the lab, which also runs when the process exits or is told to. */
function removeAtExit(id: string): () => void {
  if (standing.size === 0) {
    process.on("exit", removeAll);
    process.on("SIGINT", leave);
    process.on("SIGTERM", leave);
  }
  const remove = () => {
    removeLab(id);
    standing.delete(id);
    if (standing.size > 0) return;
    process.off("exit", removeAll);
    process.off("SIGINT", leave);
    process.off("SIGTERM", leave);
  };
  standing.set(id, remove);
  return remove;
}

function removeAll(): void {
  for (const remove of standing.values()) remove();
}

/** For a program that does not handle the signal itself; one that does closes its labs in its own order. */
function leave(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  removeAll();
  process.kill(process.pid, signal);
}

function labOf(id: string, mount: string, description: Description, remove: () => void): Lab {
  const outsideCgroup = join(mount, id, "outside");
  const nodeCgroup = (node: string) => join(mount, id, node);
  return {
    id,
    description,
    outsideCgroup,
    nodeCgroup,
    pod(key, containerName) {
      const pod = find(description.pods, (each) => each.key === key, `pod ${key}`);
      const name = containerName ?? pod.containers[0].name;
      const container = find(pod.containers, (each) => each.name === name, `container ${name} in pod ${key}`);
      const cgroup = join(nodeCgroup(pod.node), containerCgroup(description, pod, container));
      return labPlace(key, pod.ips, { cgroup, netns: namespaceFile(podNamespace(id, pod)) });
    },
    follow(key, pod) {
      const before = find(description.pods, (each) => each.key === key, `pod ${key}`);
      const cgroup = join(nodeCgroup(pod.node), containerCgroup(description, pod, pod.containers[0]));
      mkdirSync(cgroup, { recursive: true });
      return labPlace(pod.key, pod.ips, { cgroup, netns: namespaceFile(podNamespace(id, before)) });
    },
    host(nodeName, unit) {
      const node = find(description.nodes, (each) => each.name === nodeName, `node ${nodeName}`);
      const cgroup = join(nodeCgroup(nodeName), unitCgroup(unit));
      mkdirSync(cgroup, { recursive: true });
      return labPlace(unit, node.ips, { cgroup, netns: namespaceFile(nodeNamespace(id, nodeName)) });
    },
    service: (name) => find(description.services, (each) => each.name === name, `service ${name}`),
    loss: (a, b, probability) => applyRules(id, linkLossRules(description, a, b, probability)),
    cut: (from, to) => cutLink(id, description, from, to),
    mute: (a, b) => muteNeighbours(id, description, a, b),
    drop: (rule) => applyRules(id, faultRules(description, rule)),
    delay: (a, b, delayMs) => slowLink(id, description, outsideCgroup, [a, b], delayMs),
    limitNeighbourTable(family, entries) {
      limitNeighbourTable(runDirectory(id), family, entries);
      return { remove: async () => restoreNeighbourTables(runDirectory(id)) };
    },
    limitConntrack(entries) {
      limitConntrack(runDirectory(id), entries);
      return { remove: async () => restoreConntrack(runDirectory(id)) };
    },
    kubernetesObjects: () => labObjects(description),
    close: async () => remove(),
  };
}

function find<T>(list: readonly T[], test: (each: T) => boolean, what: string): T {
  const found = list.find(test);
  if (!found) throw new Error(`the lab has no ${what}`);
  return found;
}

function labPlace(name: string, ips: Addresses, place: LabPlace["place"]): LabPlace {
  const start = (job: ClientJob, options: ClientOptions) => new Workload(place, clientArguments(job, options));
  return {
    name,
    ips,
    place,
    start,
    async serve(options) {
      const server = new Workload(place, serveArguments(options));
      await server.ready();
      return server;
    },
    play: (job, options) => start(job, options).end(),
    spawn: (argv, options) => new LabProcess(place, argv, options),
    exec: (argv) => output(enterArguments(place, argv)),
    books: () => readKernelBooks(place.netns),
    sockets: (filter) => readSockets(place.netns, filter),
  };
}
