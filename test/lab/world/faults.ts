/**
 * What can go wrong on a lab's network: packets lost, dropped, refused or late.
 *
 * Each fault is in force when the call returns and until it is removed. Rules go into the FLOWSPAN-FAULTS
 * chain of the node that the packet arrives at, where addresses are those of the pods themselves (after
 * DNAT), so a packet meets each rule once.
 */

import { eventually, LabProcess } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import { type Description, isBetween, type NodeDescription, type PodDescription } from "./describe.ts";
import { FAULTS, type Family } from "./iptables.ts";
import { lines, namespaceFile } from "./network.ts";
import { delayRoutes, linkDevice, neighboursOf, nodeNamespace } from "./network-plan.ts";

export interface Fault {
  remove(): Promise<void>;
}

export interface DelayFault extends Fault {
  /** A new delay for packets to come. */
  set(delayMs: number): void;
}

export interface RuleInput {
  /** Key of a pod or name of a node (and all its pods). */
  readonly from: string;
  readonly to: string;
  /** TCP destination port. */
  readonly port?: number;
  /** drop: no answer. lose: the same without a rule's reason, as on a link (linkLossRules). reset: RST. refuse: ICMP port unreachable. prohibit: ICMP administratively prohibited. */
  readonly answer?: "drop" | "lose" | "reset" | "refuse" | "prohibit";
  /** Only that share of the packets. */
  readonly probability?: number;
}

/** One command of a namespace: the family's iptables and its arguments, without -A or -D. */
export interface FaultRule {
  readonly node: string;
  readonly family: Family;
  readonly rule: string;
}

/** The rules of one direction between two ends. */
export function faultRules(description: Description, input: RuleInput): FaultRule[] {
  const from = endOf(description, input.from);
  const to = endOf(description, input.to);
  const protocol = input.port !== undefined || input.answer === "reset" ? " -p tcp" : "";
  const port = input.port === undefined ? "" : ` --dport ${input.port}`;
  return (["v4", "v6"] as const).flatMap((family) =>
    addressesOf(from, family).flatMap((source) =>
      addressesOf(to, family).map((target) => ({
        node: "podCidrs" in to ? to.name : to.node,
        family,
        rule: `-s ${source} -d ${target}${protocol}${port}${chance(input.probability)} ${jump(input.answer ?? "drop", family)}`,
      })),
    ),
  );
}

/** Of a queue that nobody reads. */
const LOSE = "-j NFQUEUE --queue-num 61999";

/**
 * Loss on the link between two nodes, both ways; also where a delay relay carries it. Nobody reads the queue, so that the kernel frees
 * the packet without a reason (nf_queue): a link has no rule of which it could tell.
 */
export function linkLossRules(description: Description, a: string, b: string, probability: number): FaultRule[] {
  return [[a, b] as const, [b, a] as const].flatMap(([node, peer]) =>
    (["v4", "v6"] as const).map((family) => ({
      node,
      family,
      rule: `-i ${linkDevice(description, peer)}+${chance(probability)} ${LOSE}`,
    })),
  );
}

function endOf(description: Description, name: string): PodDescription | NodeDescription {
  const end = description.pods.find((pod) => pod.key === name) ?? description.nodes.find((node) => node.name === name);
  if (!end) throw new Error(`no pod or node ${name}`);
  return end;
}

function addressesOf(end: PodDescription | NodeDescription, family: Family): string[] {
  return "podCidrs" in end ? [end.ips[family], end.podCidrs[family]] : [end.ips[family]];
}

function chance(probability: number | undefined): string {
  return probability === undefined ? "" : ` -m statistic --mode random --probability ${probability}`;
}

function jump(answer: NonNullable<RuleInput["answer"]>, family: Family): string {
  const v6 = family === "v6";
  switch (answer) {
    case "lose":
      return LOSE;
    case "drop":
      return "-j DROP";
    case "reset":
      return "-j REJECT --reject-with tcp-reset";
    case "refuse":
      return `-j REJECT --reject-with ${v6 ? "icmp6-port-unreachable" : "icmp-port-unreachable"}`;
    case "prohibit":
      return `-j REJECT --reject-with ${v6 ? "icmp6-adm-prohibited" : "icmp-admin-prohibited"}`;
  }
}

export async function applyRules(lab: string, rules: readonly FaultRule[]): Promise<Fault> {
  await changeRules(lab, "-A", rules);
  return { remove: () => changeRules(lab, "-D", rules) };
}

async function changeRules(lab: string, action: "-A" | "-D", rules: readonly FaultRule[]): Promise<void> {
  const batches = Map.groupBy(rules, ({ node, family }) => `${node} ${family}`);
  const restores = [...batches].map(([key, batch]) => {
    const [node = "", family] = key.split(" ");
    const restore = family === "v4" ? "iptables-restore" : "ip6tables-restore";
    const text = ["*filter", ...batch.map(({ rule }) => `${action} ${FAULTS} ${rule}`), "COMMIT"];
    return run(["ip", "netns", "exec", nodeNamespace(lab, node), restore, "-w", "--noflush"], lines(text));
  });
  await Promise.all(restores);
}

/** Of no device in any lab. */
const NOBODY = "02:00:00:00:00:01";

/**
 * Loses all that `from` sends to `to`, as a broken switch does: its frames go to a MAC address that nobody has. No rule drops
 * them, no device is down, and neither node is told.
 */
export async function cutLink(lab: string, description: Description, from: string, to: string): Promise<Fault> {
  const device = linkDevice(description, to);
  const neighbours = neighboursOf(description, to);
  const change = (line: (neighbour: string) => string) =>
    run(["ip", "-n", nodeNamespace(lab, from), "-batch", "-"], lines(neighbours.map(line)));
  await change((neighbour) => `neigh replace ${neighbour} lladdr ${NOBODY} dev ${device} nud permanent`);
  return {
    remove: async () => {
      await change((neighbour) => `neigh del ${neighbour} dev ${device}`);
    },
  };
}

/** Two nodes on one wire of which neither answers for its address any more, as where the wire or a VLAN is broken. IPv4 alone. */
export async function muteNeighbours(lab: string, description: Description, a: string, b: string): Promise<Fault> {
  const ends = (
    [
      [a, b],
      [b, a],
    ] as const
  ).map(([node, peer]) => ({
    namespace: nodeNamespace(lab, node),
    device: linkDevice(description, peer),
  }));
  const ignore = (mode: number) =>
    Promise.all(
      ends.map(({ namespace, device }) =>
        run(["ip", "netns", "exec", namespace, "sysctl", "-qw", `net.ipv4.conf.${device}.arp_ignore=${mode}`]),
      ),
    );
  await ignore(DO_NOT_REPLY);
  // Each would go on by what it knows.
  await Promise.all(ends.map(({ namespace, device }) => run(["ip", "-n", namespace, "neigh", "flush", "dev", device])));
  return {
    remove: async () => {
      await ignore(0);
    },
  };
}

const DO_NOT_REPLY = 8;

/**
 * Makes the link between two nodes slow, both ways, by a relay over TUN devices. Packets that find the
 * relay's queue full are lost, as on a real link.
 *
 * @param cgroup directory that the relay runs in
 */
export async function slowLink(
  lab: string,
  description: Description,
  cgroup: string,
  ends: readonly [string, string],
  delayMs: number,
): Promise<DelayFault> {
  const [a, b] = ends;
  if (!description.links.some((link) => isBetween(link.between, ends))) throw new Error(`no link ${a} to ${b}`);
  const side = (node: string, peer: string) => [
    namespaceFile(nodeNamespace(lab, node)),
    `${linkDevice(description, peer)}-slow`,
  ];
  const relay = new LabProcess({ cgroup }, [program("delay"), ...side(a, b), ...side(b, a), String(delayMs)]);
  await eventually(
    () => `delay relay ready: ${relay.describe()}`,
    () => {
      if (!relay.isRunning) throw new Error(relay.describe());
      return relay.stdout.length > 0;
    },
  );
  await Promise.all([
    run(["ip", "-n", nodeNamespace(lab, a), "-batch", "-"], lines(delayRoutes(description, a, b))),
    run(["ip", "-n", nodeNamespace(lab, b), "-batch", "-"], lines(delayRoutes(description, b, a))),
  ]);
  return { set: (ms) => relay.command(String(ms)), remove: () => relay.stop() };
}
