/** Faults of a scenario → the same on the lab's real sockets and packet filters. Each is in force until it is removed. */
import type { Lab } from "../lab/world/lab.ts";
import { addressOf, type Inject, type Removable, SERVED } from "./inject.ts";
import { MORE_APPLICATIONS } from "./more-faults.ts";
import { type ApplicationKind, type Fault, type LossPlace, NODES } from "./scenario.ts";

const CLOSED = 8089;
const STUCK = 8081;
const UNREAD = 8082;
const SILENT = 8083;
/** More than any socket buffers take. */
const UNREAD_BYTES = 200_000_003;

export async function inject(lab: Lab, fault: Fault): Promise<Removable> {
  if (fault.kind !== "loss") return APPLICATIONS[fault.kind](lab, fault.client, fault.server);
  const made = await Promise.all(lossesOf(lab, fault.at, fault.share));
  return { remove: () => Promise.all(made.map((each) => each.remove())) };
}

/** Each packet meets one of these rules, whichever way it goes. */
function lossesOf(lab: Lab, at: LossPlace, probability: number): Promise<Removable>[] {
  switch (at.kind) {
    case "link":
      return [lab.loss(...at.nodes, probability)];
    case "node":
      return NODES.filter((node) => node !== at.node).map((peer) => lab.loss(at.node, peer, probability));
    case "pod":
      return NODES.flatMap((node) => [
        lab.drop({ from: node, to: at.pod, probability, answer: "lose" }),
        lab.drop({ from: at.pod, to: node, probability, answer: "lose" }),
      ]);
  }
}

const APPLICATIONS: Readonly<Record<ApplicationKind, Inject>> = {
  ...MORE_APPLICATIONS,
  async connect_refused(lab, client, server) {
    const connects = lab.pod(client).start("send", { to: [addressOf(lab, server, CLOSED)], count: 0, paceMs: 100 });
    return { remove: () => connects.process.stop("SIGKILL") };
  },
  async connect_unanswered(lab, client, server) {
    const drop = await lab.drop({ from: client, to: server, port: SILENT, answer: "lose" });
    const to = [addressOf(lab, server, SILENT)];
    const connects = lab.pod(client).start("send", { to, count: 0, paceMs: 100, parallel: 64, synRetries: 1 });
    return {
      async remove() {
        await connects.process.stop("SIGKILL");
        await drop.remove();
      },
    };
  },
  async listen_queue_overflow(lab, client, server) {
    const listener = await lab.pod(server).serve({ listen: [{ port: STUCK, mode: "stuck", backlog: 2 }] });
    const connects = lab.pod(client).start("hold", { to: [addressOf(lab, server, STUCK)], count: 8 });
    return {
      // The listener first: clients that are killed would send their FINs again, each a drop.
      async remove() {
        await listener.process.stop("SIGKILL");
        await connects.process.stop("SIGKILL");
      },
    };
  },
  async slow_reader(lab, client, server) {
    const listener = await lab.pod(server).serve({ listen: [{ port: UNREAD, mode: "stuck" }] });
    const to = [addressOf(lab, server, UNREAD)];
    const sender = lab.pod(client).start("hold", { to, count: 1, upload: UNREAD_BYTES, everyMs: 1000 });
    return {
      async remove() {
        await listener.process.stop("SIGKILL");
        await sender.process.stop("SIGKILL");
      },
    };
  },
  async ports_exhausted(lab, client, server) {
    const range = (ports: string) =>
      lab.pod(client).exec(["sysctl", "-q", "-w", `net.ipv4.ip_local_port_range=${ports}`]);
    const { stdout } = await lab.pod(client).exec(["sysctl", "-n", "net.ipv4.ip_local_port_range"]);
    await range("61000 61001");
    // Four connections want two ports.
    const to = [addressOf(lab, server, SERVED)];
    const holds = lab.pod(client).start("hold", { to, count: 4 });
    return {
      async remove() {
        await holds.process.stop("SIGKILL");
        await range(stdout.trim().replace(/\s+/, " "));
      },
    };
  },
};
