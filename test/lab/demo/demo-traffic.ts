/**
 * What goes on in the shop: steady traffic, and the troubles that the picture must show: a link that loses
 * packets and a slow one (describe.ts), a port where nobody listens, and a server that does not accept.
 */

import type { ClientOptions, Endpoint, Listener } from "../programs/workload.ts";
import type { Lab } from "../world/lab.ts";

const SERVERS: Readonly<Record<string, readonly Listener[]>> = {
  cart: [{ port: 8080 }],
  catalog: [{ port: 8080 }],
  checkout: [{ port: 8080 }],
  payment: [{ port: 8443 }, { port: 9091, mode: "stuck", backlog: 2 }],
  postgres: [{ port: 5432 }],
  "log-store": [{ port: 3100 }],
};

/** Starts all servers, then all clients; they run until the lab is closed. */
export async function startTraffic(lab: Lab): Promise<void> {
  await Promise.all(Object.entries(SERVERS).map(([pod, listen]) => lab.pod(pod).serve({ listen, workers: 1 })));
  const service = (name: string): Endpoint => {
    const { clusterIps, port } = lab.service(name);
    return { address: clusterIps.v4, port };
  };
  /** New connections all the time. */
  const calls = (pod: string, to: Endpoint, options: Omit<ClientOptions, "to">) =>
    lab.pod(pod).start("send", { to: [to], count: 0, parallel: 16, ...options });
  /** A pool that is kept and used. */
  const keeps = (pod: string, to: Endpoint, options: Omit<ClientOptions, "to">) =>
    lab.pod(pod).start("hold", { to: [to], ...options });

  for (const frontend of ["frontend-1", "frontend-2"]) {
    calls(frontend, service("cart"), { paceMs: 25, upload: 700, download: 2_300 });
    calls(frontend, service("checkout"), { paceMs: 200, upload: 1_500, download: 900 });
    keeps(frontend, service("catalog"), { count: 8, everyMs: 100, upload: 300, download: 64_000 });
  }
  keeps("checkout", service("payment"), { count: 4, everyMs: 250, upload: 2_100, download: 400 });
  keeps("payment", service("postgres"), { count: 3, everyMs: 50, upload: 500, download: 700 });
  keeps(
    "cart",
    { address: lab.pod("postgres").ips.v6, port: 5432 },
    { count: 6, everyMs: 50, upload: 400, download: 9_000 },
  );
  calls("reports", service("postgres"), { paceMs: 2_000, parallel: 2, upload: 200, download: 2_000_000 });
  keeps("log-shipper", service("log-store"), { count: 1, everyMs: 500, upload: 100_000, download: 40 });
  calls("cart", { address: lab.pod("checkout").ips.v4, port: 9090 }, { paceMs: 250 });
  calls("checkout", { address: lab.pod("payment").ips.v4, port: 9091 }, { paceMs: 500, synRetries: 1 });
}
