/**
 * The traffic of a scenario: requests and answers of about sixteen segments on connections that are kept, all pairs the same, or 80 % of
 * it between one pair. Where one pair has most of it, there is more of it in all: others have half of what they have else. A packet is a
 * segment here: devices of pods build no larger ones. A segment costs the machine some 15 us of CPU, in both pods and both nodes.
 */

import type { Workload } from "../lab/programs/workload.ts";
import type { Lab } from "../lab/world/lab.ts";
import { SERVED } from "./inject.ts";
import { isLonely, NODES, PODS, peersOf, type Scenario } from "./scenario.ts";

/** Bytes of a request, and of its answer. */
const BYTES = 23_003;
const EVERY_MS = 110;
/** The same where one pair has most of the traffic, and where a fault is alone. */
const EVERY_MS_BESIDE = 220;
const EVERY_MS_QUIET = 1_100;
/** The share of all traffic that the busiest pair has. */
const BUSIEST = 0.8;
/** Connections of the busiest pair. */
const BUSIEST_CONNECTIONS = 8;

/** Servers for all scenarios, and packets as wires have them. */
export async function serveAll(lab: Lab): Promise<void> {
  // Packets without a socket are counted in namespaces that a counted thread lives in.
  for (const node of NODES) lab.host(node, "sleep.service").spawn(["sleep", "infinity"]);
  await Promise.all(
    PODS.map(async (pod) => {
      await lab.pod(pod).exec(["ip", "link", "set", "eth0", "gso_max_segs", "1"]);
      await lab.pod(pod).serve({ listen: [{ port: SERVED }], workers: 1 });
    }),
  );
}

/** @returns what ends it */
export async function startTraffic(lab: Lab, { busiest, faults }: Scenario): Promise<() => Promise<unknown>> {
  const isQuiet = faults.some(({ kind }) => isLonely(kind));
  const everyMs = isQuiet ? EVERY_MS_QUIET : busiest === undefined ? EVERY_MS : EVERY_MS_BESIDE;
  const to = (pods: readonly string[]) => pods.map((pod) => ({ address: lab.pod(pod).ips.v4, port: SERVED }));
  const sized = { upload: BYTES, download: BYTES };
  const clients: Workload[] = PODS.map((pod) => {
    const peers = peersOf(pod);
    return lab.pod(pod).start("hold", { to: to(peers), count: peers.length, everyMs, ...sized });
  });
  if (busiest !== undefined) {
    const { client, server } = busiest;
    const others = (PODS.length * peersOf(client).length) / everyMs;
    const rate = (others * BUSIEST) / (1 - BUSIEST);
    const perRound = 4;
    const heavy = { upload: BYTES * perRound, download: BYTES * perRound };
    const pace = (BUSIEST_CONNECTIONS * perRound) / rate;
    clients.push(
      lab
        .pod(client)
        .start("hold", { to: to([server]), count: BUSIEST_CONNECTIONS, everyMs: Math.round(pace), ...heavy }),
    );
  }
  await Promise.all(clients.map((client) => client.ready()));
  return () => Promise.all(clients.map((client) => client.process.stop("SIGKILL")));
}
