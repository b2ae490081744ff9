/**
 * A node's packet filter as text for iptables-restore: Services the way kube-proxy writes them (pkg/proxy/iptables
 * in kubernetes/kubernetes) and one chain of our own, FLOWSPAN-FAULTS, that faults are put into.
 *
 * Faults act in FORWARD and INPUT, never in OUTPUT: a packet dropped in OUTPUT comes back to the sender's stack
 * as EPERM, which no real network does.
 */
import { createHash } from "node:crypto";
import { type Description, endpoints, POD_CIDRS, type ServiceDescription } from "./describe.ts";

export type Family = "v4" | "v6";

export const FAULTS = "FLOWSPAN-FAULTS";

/** What NOWHERE.hostUnreachable answers; for IPv4 a route does it. */
const V6_HOST_UNREACHABLE = "-d 2001:db8:1::/48 -j REJECT --reject-with icmp6-addr-unreachable";

/** Every node has the same rules, as with kube-proxy. */
export function nodeRules(description: Description, family: Family): string {
  const services = description.services.map((service) => serviceRules(description, service, family));
  return [
    "*filter",
    `:${FAULTS} -`,
    ":KUBE-SERVICES -",
    `-A FORWARD -j ${FAULTS}`,
    `-A INPUT -j ${FAULTS}`,
    `-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
    `-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
    ...services.flatMap((each) => each.filter),
    ...(family === "v6" ? [`-A INPUT ${V6_HOST_UNREACHABLE}`] : []),
    "COMMIT",
    "*nat",
    ...["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"].map((chain) => `:${chain} -`),
    ...services.flatMap((each) => each.chains.map((chain) => `:${chain} -`)),
    `-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
    `-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
    `-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`,
    "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
    `-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
    "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
    ...services.flatMap((each) => each.nat),
    // Last, as kube-proxy has it: a cluster address must not be taken for a node port.
    "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
    "COMMIT",
    "",
  ].join("\n");
}

interface ServiceRules {
  readonly chains: string[];
  readonly nat: string[];
  readonly filter: string[];
}

function serviceRules(description: Description, service: ServiceDescription, family: Family): ServiceRules {
  const name = `${service.namespace}/${service.name}:${service.portName}`;
  const svc = chainName("SVC", name);
  const ext = chainName("EXT", name);
  const to = `-d ${service.clusterIps[family]} -p tcp -m tcp --dport ${service.port}`;
  const pods = endpoints(description, service);
  if (pods.length === 0) {
    const comment = `-m comment --comment "${name} has no endpoints"`;
    return { chains: [], nat: [], filter: [`-A KUBE-SERVICES ${to} ${comment} -j REJECT`] };
  }
  const backends = pods.map((pod) => {
    const at = family === "v4" ? `${pod.ips.v4}:${service.targetPort}` : `[${pod.ips.v6}]:${service.targetPort}`;
    return { ip: pod.ips[family], at, chain: chainName("SEP", name, at) };
  });
  const external = service.nodePort === undefined ? [] : nodePortRules(service.nodePort, name, ext, svc);
  return {
    chains: [svc, ...backends.map((each) => each.chain), ...(external.length > 0 ? [ext] : [])],
    filter: [],
    nat: [
      `-A KUBE-SERVICES ${to} -m comment --comment "${name} cluster IP" -j ${svc}`,
      // Only what comes from outside the pods' network is masqueraded: a pod's peer sees the pod.
      `-A ${svc} ! -s ${POD_CIDRS[family]} ${to} -m comment --comment "${name} cluster IP" -j KUBE-MARK-MASQ`,
      ...backends.map(({ chain }, i) => `-A ${svc} ${oneOf(backends.length - i)}-j ${chain}`),
      ...backends.flatMap(({ ip, at, chain }) => [
        // A pod that reaches itself through its Service (hairpin).
        `-A ${chain} -s ${ip} -m comment --comment "${name}" -j KUBE-MARK-MASQ`,
        `-A ${chain} -p tcp -m comment --comment "${name}" -m tcp -j DNAT --to-destination ${at}`,
      ]),
      ...external,
    ],
  };
}

function oneOf(left: number): string {
  return left === 1 ? "" : `-m statistic --mode random --probability ${(1 / left).toFixed(10)} `;
}

function nodePortRules(port: number, name: string, ext: string, svc: string): string[] {
  return [
    `-A KUBE-NODEPORTS -p tcp -m comment --comment "${name}" -m tcp --dport ${port} -j ${ext}`,
    `-A ${ext} -m comment --comment "masquerade traffic for ${name} external destinations" -j KUBE-MARK-MASQ`,
    `-A ${ext} -j ${svc}`,
  ];
}

/** As kube-proxy: the first 16 base32 digits of a SHA-256, so that chain names stay below 29 characters. */
function chainName(kind: "SVC" | "SEP" | "EXT", servicePort: string, endpoint = ""): string {
  const hash = createHash("sha256").update(`${servicePort}tcp${endpoint}`).digest();
  return `KUBE-${kind}-${base32(hash).slice(0, 16)}`;
}

function base32(bytes: Uint8Array): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join("");
}
