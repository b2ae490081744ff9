/**
 * A real API server and three agents in a net namespace of their own, for 30 seconds in which nothing changes:
 * prints what became of their watches (Quiet in quiet.ts) as JSON.
 *
 * Swallows the packets of one agent with iptables: run it only through quiet.ts.
 */
import { execFileSync } from "node:child_process";
import { kubeconfigConnection } from "../../agent/kubernetes/kubeconfig-connection.ts";
import { type ClusterWatch, type ClusterWatchOptions, watchCluster } from "../../agent/kubernetes/watch-cluster.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { Relay } from "../components/relay.ts";
import { holds } from "../components/running.ts";
import type { Quiet } from "./quiet.ts";

const SILENT_MS = 30_000;
const RECOVER_MS = 30_000;

async function main(): Promise<Quiet> {
  execFileSync("ip", ["link", "set", "lo", "up"]);
  const kube = await startKube();
  const relay = new Relay(Number(new URL(kube.server).port));
  await relay.accept();
  const calm = watch(kube);
  const brief = watch(kube, { watchSeconds: 4 });
  const swallowed = watch(kube, { connection: through(relay, kube) });
  const all = [calm, brief, swallowed];
  try {
    await until("all lists are read", () => all.every(isCurrent));
    return await beSilent(calm, brief, swallowed, relay.port);
  } finally {
    await Promise.all(all.map((each) => each.stop()));
    await relay.refuse();
    await kube.stop();
  }
}

async function beSilent(
  calm: ClusterWatch,
  brief: ClusterWatch,
  swallowed: ClusterWatch,
  port: number,
): Promise<Quiet> {
  const before = swallowed.states();
  const startedMs = performance.now();
  const forMs = () => performance.now() - startedMs;
  let noticedAfterMs = Infinity;
  swallow(port, true);
  await until("the silence is over", () => {
    const hasNoticed = swallowed.states().every(({ current }) => !current);
    if (hasNoticed) noticedAfterMs = Math.min(noticedAfterMs, forMs());
    return forMs() >= SILENT_MS;
  });
  const seen = { silentForMs: forMs(), calm: calm.states(), brief: brief.states() };
  swallow(port, false);
  await until("packets go through again", () => isCurrent(swallowed));
  return { ...seen, swallowed: { noticedAfterMs, before, after: swallowed.states() } };
}

function watch(kube: Kube, options: Partial<ClusterWatchOptions> = {}): ClusterWatch {
  return watchCluster({
    connection: kubeconfigConnection(kube.kubeconfig),
    nodeName: "node-1",
    scope: "all",
    wellKnownLabels: false,
    podLabels: [],
    podAnnotations: [],
    onChange: () => undefined,
    log: { info() {}, warn() {} },
    ...options,
  });
}

function through(relay: Relay, kube: Kube): ClusterWatchOptions["connection"] {
  const direct = kubeconfigConnection(kube.kubeconfig);
  return {
    ...direct,
    credentials: async () => ({ ...(await direct.credentials()), server: new URL(`https://127.0.0.1:${relay.port}`) }),
  };
}

function isCurrent(watch: ClusterWatch): boolean {
  return watch.states().every(({ current }) => current);
}

function swallow(port: number, yes: boolean): void {
  for (const end of ["--dport", "--sport"]) {
    execFileSync("iptables", [yes ? "-A" : "-D", "INPUT", "-p", "tcp", end, String(port), "-j", "DROP"]);
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  if (!(await holds(async () => condition(), SILENT_MS + RECOVER_MS))) throw new Error(`not in time: ${what}`);
}

process.stdout.write(JSON.stringify(await main()));
