/** Faults whose findings stand on the kernel's own evidence: drops, neighbours, queues, buffers; and a network that is cut. */
import { program, run } from "../lab/programs/run.ts";
import { clientArguments, Workload } from "../lab/programs/workload.ts";
import type { Lab } from "../lab/world/lab.ts";
import { nodeNamespace, podDevice } from "../lab/world/network-plan.ts";
import { addressOf, type Inject, SERVED } from "./inject.ts";
import { type ApplicationKind, nodeOf } from "./scenario.ts";

const FLOODED = 8084;
const REFUSED_BY_RULE = 8085;
const TOO_LARGE = 8086;
const ON_LOOPBACK = 8088;
const BULK = 8087;
/** More than any net namespace of other labs beside this one tracks. */
const TRACKED_MOST = 20_011;
/** An address of the cluster's that nobody has. */
const NOBODY = "10.99.77.7";
const SMALL_MTU = 1000;
/** A table of routes for one client's packets to one server. */
const TABLE = "7711";

export const MORE_APPLICATIONS = {
  async syn_cookies(lab, client, server) {
    const listener = await lab.pod(server).serve({ listen: [{ port: FLOODED, backlog: 4 }] });
    const lost = await lab.drop({ from: server, to: client, answer: "lose" });
    // Outside of what the probe counts, as an attacker is.
    const place = { cgroup: lab.outsideCgroup, netns: lab.pod(client).place.netns };
    const to = [addressOf(lab, server, FLOODED)];
    const flood = new Workload(place, clientArguments("fail", { to, count: 0, parallel: 32, synRetries: 1 }));
    return {
      async remove() {
        await flood.process.stop("SIGKILL");
        await listener.process.stop("SIGKILL");
        await lost.remove();
      },
    };
  },

  /** What a socket's reader left behind finds no room, in the client's own namespace. */
  async socket_memory(lab, client) {
    const calls = [`listen 0 ${ON_LOOPBACK}`, `connect 1 ${ON_LOOPBACK}`, "accept 2 0", "send 1 40009", "drained 1"];
    const script = [...calls, "rcvbuf 2 2048", "send 1 10007", "pause 0 300"].join("\n");
    const loop = `while true; do echo "$1" | "$0"; sleep 0.5; done`;
    const playing = lab.pod(client).spawn(["sh", "-c", loop, program("calls"), script]);
    return { remove: () => playing.stop("SIGKILL") };
  },

  async neighbour_unresolved(lab, client) {
    const { exec } = lab.pod(client);
    // One question, a tenth of a second, in place of three and three seconds.
    const times = await sysctl(lab, client, "net.ipv4.neigh.eth0.mcast_solicit", "1");
    const wait = await sysctl(lab, client, "net.ipv4.neigh.eth0.retrans_time_ms", "100");
    await exec(["ip", "route", "add", `${NOBODY}/32`, "dev", "eth0"]);
    const to = [{ address: NOBODY, port: REFUSED_BY_RULE }];
    const connects = lab.pod(client).start("fail", { to, count: 0, parallel: 1, paceMs: 100 });
    return {
      async remove() {
        await connects.process.stop("SIGKILL");
        await exec(["ip", "route", "del", `${NOBODY}/32`, "dev", "eth0"]);
        await times();
        await wait();
      },
    };
  },

  /** Of the server's node, on the way to it. */
  async packets_dropped(lab, client, server) {
    const rule = await lab.drop({ from: client, to: server, port: REFUSED_BY_RULE, answer: "drop" });
    const to = [addressOf(lab, server, REFUSED_BY_RULE)];
    const connects = lab.pod(client).start("send", { to, count: 0, paceMs: 100, parallel: 64, synRetries: 1 });
    return {
      async remove() {
        await connects.process.stop("SIGKILL");
        await rule.remove();
      },
    };
  },

  /** On the server's node, for what the client sends to it. */
  async mtu_black_hole(lab, client, server) {
    const listener = await lab.pod(server).serve({ listen: [{ port: TOO_LARGE }] });
    const [from, to] = [lab.pod(client).ips.v4, lab.pod(server).ips.v4];
    const pod = lab.description.pods.find(({ key }) => key === server);
    if (pod === undefined) throw new Error(`no pod ${server}`);
    const device = podDevice(lab.description, pod);
    const inNode = (...argv: string[]) => run(["ip", "netns", "exec", nodeNamespace(lab.id, nodeOf(server)), ...argv]);
    const rule = ["from", from, "to", to, "lookup", TABLE];
    const route = [to, "dev", device, "table", TABLE];
    const silence = ["OUTPUT", "-p", "icmp", "--icmp-type", "fragmentation-needed", "-d", from, "-j", "DROP"];
    await inNode("iptables", "-w", "-I", ...silence);
    await inNode("ip", "route", "add", ...route, "mtu", "lock", String(SMALL_MTU));
    await inNode("ip", "rule", "add", ...rule);
    const uploads = lab.pod(client).start("send", {
      ...{ to: [addressOf(lab, server, TOO_LARGE)], count: 0, parallel: 5, paceMs: 700 },
      upload: 20_011,
    });
    return {
      async remove() {
        await uploads.process.stop("SIGKILL");
        await inNode("ip", "rule", "del", ...rule);
        await inNode("ip", "route", "del", ...route);
        await inNode("iptables", "-w", "-D", ...silence);
        await listener.process.stop("SIGKILL");
      },
    };
  },

  async partition(lab, client, server) {
    const [one, other] = [nodeOf(client), nodeOf(server)];
    const cuts = [await lab.cut(one, other), await lab.cut(other, one)];
    return { remove: () => Promise.all(cuts.map((cut) => cut.remove())) };
  },

  /** A round trip of 34 ms takes some 8 kB. */
  async small_send_buffer(lab, client, server) {
    const listener = await lab.pod(server).serve({ listen: [{ port: BULK }] });
    const delay = await lab.delay(nodeOf(client), nodeOf(server), 17);
    const restore = await sysctl(lab, client, "net.ipv4.tcp_wmem", "4096 16384 16384");
    const to = [addressOf(lab, server, BULK)];
    const held = lab.pod(client).start("hold", { to, count: 1, everyMs: 100, upload: 500_009 });
    await held.ready();
    return {
      async remove() {
        await held.process.stop("SIGKILL");
        await listener.process.stop("SIGKILL");
        await restore();
        await delay.remove();
      },
    };
  },

  /** The nodes of both track a datagram to each of many ports, for half a minute. */
  async conntrack_full(lab, client, server) {
    const limit = lab.limitConntrack(TRACKED_MOST);
    const { address } = addressOf(lab, server, REFUSED_BY_RULE);
    const ports = `$(seq 10001 ${10_001 + TRACKED_MOST})`;
    await lab
      .pod(client)
      .exec(["bash", "-c", `for i in ${ports}; do echo >/dev/udp/${address}/$i; done 2>/dev/null; true`]);
    const connects = lab.pod(client).start("send", { to: [addressOf(lab, server, SERVED)], count: 0, paceMs: 20 });
    return {
      async remove() {
        await connects.process.stop("SIGKILL");
        await limit.remove();
      },
    };
  },
} satisfies Partial<Record<ApplicationKind, Inject>>;

/** @returns what puts it back */
export async function sysctl(lab: Lab, pod: string, name: string, value: string): Promise<() => Promise<unknown>> {
  const { stdout } = await lab.pod(pod).exec(["sysctl", "-n", name]);
  const set = (to: string) => lab.pod(pod).exec(["sysctl", "-q", "-w", `${name}=${to}`]);
  await set(value);
  return () => set(stdout.trim().replace(/\s+/g, " "));
}
