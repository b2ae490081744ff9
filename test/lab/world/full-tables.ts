/** Traffic that fills the kernel's tables of neighbours and of tracked connections, or races for an entry of one. */
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import type { LabPlace } from "./lab.ts";

/** What a crawler needs before it can ask for addresses of its link that nobody has. */
export function routeToNobody(crawler: LabPlace): Promise<unknown> {
  return crawler.exec(["ip", "route", "add", "10.99.0.0/16", "dev", "eth0"]);
}

/** The crawler sends a datagram to so many addresses of its link that nobody has: an entry of the neighbour table each. */
export function askNobody(crawler: LabPlace, third: number, count: number): Promise<unknown> {
  return datagrams(crawler, `10.99.${third}.$i/9`, 1, count);
}

/** The crawler sends a datagram to so many ports of a server that does not answer: an entry of connection tracking each, for half a minute. */
export function crawlPorts(crawler: LabPlace, server: LabPlace, count: number): Promise<unknown> {
  return datagrams(crawler, `${server.ips.v4}/$i`, 10_001, 10_000 + count);
}

function datagrams(from: LabPlace, to: string, first: number, last: number): Promise<unknown> {
  return from.exec(["bash", "-c", `for i in $(seq ${first} ${last}); do echo >/dev/udp/${to}; done 2>/dev/null; true`]);
}

/** Where the source NAT of a node gives all its pods one address, so that two of them may want one entry. */
export async function masquerade(node: LabPlace, port: number): Promise<void> {
  const rule = ["POSTROUTING", "-p", "tcp", "--dport", String(port), "-j", "MASQUERADE"];
  await run(["nsenter", `--net=${node.place.netns}`, "iptables", "-w", "-t", "nat", "-I", ...rule]);
}

const FIRST_PORT = 20_000;
const CONNECTS = 2_003;

/** Both pods connect from the same ports at the same moments, each round from other ones. @param hasRaced whether one has lost */
export async function raceForPorts(
  racers: readonly [LabPlace, LabPlace],
  server: LabPlace,
  port: number,
  hasRaced: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let round = 0; !(await hasRaced()); round++) {
    const at = process.hrtime.bigint() + 300_000_000n;
    const first = FIRST_PORT + (round % 20) * CONNECTS;
    const argv = [program("sameport"), server.ips.v4, ...[port, first, CONNECTS, at].map(String)];
    const running = racers.map((racer) => racer.spawn(argv));
    await eventually(
      () => `all connects of ${running.map((racer) => racer.describe()).join(" and ")}`,
      () => running.every(({ stdout }) => stdout.includes("ready")),
      30_000,
    );
    // A SYN that was lost is sent again after a second: it is the last that these sockets bring about.
    await delay(1_500);
    await Promise.all(running.map((racer) => racer.stop("SIGKILL")));
  }
}
