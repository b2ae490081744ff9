/**
 * The race of walk and close, and of one state change that interrupts another: short connections on all cores
 * while walks, exchanges and settles run back to back, and no connection or byte is lost or doubled.
 *
 *   one pod, one net namespace:  container `client` ── lo, 41 addresses ── container `server`
 *
 * In the second test received packets are steered to all cores (RPS), so that their softirqs interrupt system
 * calls in the middle of our programs. FLOWSPAN_RACE sets another number of connections for the first.
 */
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import type { Role } from "../../agent/model.ts";
import { describe } from "../lab/describe.ts";
import { booksGrowth, type KernelBooks } from "../lab/kernel-books.ts";
import { type Lab, startLab } from "../lab/lab.ts";
import { run } from "../lab/run.ts";
import { Tally } from "../lab/tally.ts";
import type { Counts } from "../lab/workload.ts";
import { missing, needs } from "../needs.ts";

const CONNECTIONS = Number(process.env.FLOWSPAN_RACE ?? 1_000_003);
const STEERED = Math.min(CONNECTIONS, 50_021);
const DEADLINE_MS = 240_000;
const UPLOAD = 101;
const DOWNLOAD = 103;
const PORT = 8080;
/** Enough pairs of address and port that none comes twice within TIME_WAIT. */
const ADDRESSES = Array.from({ length: 41 }, (_, i) => `127.0.1.${i + 1}`);

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let tally: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both", containers: ["client", "server"] }] }));
  tally = await Tally.start(lab, "node-1");
});

afterAll(async () => {
  await tally?.close();
  await lab?.close();
});

test(
  "of a million short connections on all cores during walks none is doubled, and not one in 10,000 lacks",
  async () => {
    const played = await churnDuringWalks(CONNECTIONS);

    expect(played.walks).toBeGreaterThan(100);
    expect(unexplained(played, CONNECTIONS / 10_000)).toEqual([]);
  },
  DEADLINE_MS,
);

test(
  "of connections whose packets interrupt state changes none is doubled, and none lost without being counted",
  async () => {
    await steerToAllCores(basename(lab.pod("both").place.netns));

    const played = await churnDuringWalks(STEERED);

    expect(unexplained(played, 0)).toEqual([]);
  },
  DEADLINE_MS,
);

interface Played {
  readonly walks: number;
  /** Opens of both ends in the namespace's own books. */
  readonly kernelOpens: number;
  readonly count: number;
  readonly unseen: Readonly<Record<"client" | "server", Lack>>;
}

async function churnDuringWalks(count: number): Promise<Played> {
  const before = {
    exchanges: tally.exchanges,
    client: seen("client"),
    server: seen("server"),
    books: await lab.pod("both").books(),
  };
  const server = await lab.pod("both", "server").serve({ listen: [{ port: PORT }] });
  const walks = tally.run();
  const to = ADDRESSES.map((address) => ({ address, port: PORT }));
  const churn = lab.pod("both", "client").start("churn", { to, count, upload: UPLOAD, download: DOWNLOAD });
  const client = await churn.end(DEADLINE_MS);
  const served = await server.until(({ closed }) => closed === count);
  tally.stop();
  await walks;
  await tally.until(openNow, () => open() === 0);
  await server.close();
  expect(client).toMatchObject({ opened: count, closed: count, bytesSent: UPLOAD * count });
  return {
    walks: tally.exchanges - before.exchanges,
    kernelOpens: booksOpens(before.books, await lab.pod("both").books()),
    count,
    unseen: { client: lack(client, before.client, "client"), server: lack(served, before.server, "server") },
  };
}

type Lack = ReturnType<typeof lack>;

function seen(role: Role) {
  const { opened, closed, bytesSent, bytesReceived } = tally.sum((key) => key.role === role);
  return { opened, closed, bytesSent, bytesReceived };
}

/** What the workload counted and the probe did not. */
function lack(counts: Counts, before: ReturnType<typeof seen>, role: Role) {
  const after = seen(role);
  return {
    opened: counts.opened - (after.opened - before.opened),
    closed: counts.closed - (after.closed - before.closed),
    bytesSent: counts.bytesSent - (after.bytesSent - before.bytesSent),
    bytesReceived: counts.bytesReceived - (after.bytesReceived - before.bytesReceived),
  };
}

function booksOpens(before: KernelBooks, after: KernelBooks): number {
  const { ActiveOpens = 0, PassiveOpens = 0 } = booksGrowth(before, after, "Tcp");
  return ActiveOpens + PassiveOpens;
}

/**
 * Every state change that the kernel skipped is in `recursion_misses` of the two programs, and every other loss
 * has its name: together with `spare` they bound what may lack, and the namespace's books (from which coverage
 * is made) know every open. One lost change hides at most one connection of one end.
 */
function unexplained({ unseen, kernelOpens, count }: Played, spare: number): string[] {
  const skipped = tally.last.programs
    .filter(({ name }) => name.startsWith("set_state"))
    .reduce((sum, { recursionMisses }) => sum + recursionMisses, 0);
  const lost = Object.values(tally.losses).reduce((sum, losses) => sum + losses, 0);
  const lacks = Object.values(unseen);
  const events = lacks.reduce((sum, { opened, closed }) => sum + Math.max(opened, closed), 0);
  const bytes = lacks.reduce((sum, { bytesSent, bytesReceived }) => sum + bytesSent + bytesReceived, 0);
  const said = `${JSON.stringify(unseen)}, skipped ${skipped}, losses ${JSON.stringify(tally.losses)}`;
  const wrong: string[] = [];
  if (lacks.some((each) => Object.values(each).some((value) => value < 0))) wrong.push(`counted twice: ${said}`);
  if (events > skipped + lost + spare) wrong.push(`more lacks than the kernel skipped: ${said}`);
  if (bytes > events * (UPLOAD + DOWNLOAD)) wrong.push(`bytes lack without their connection: ${said}`);
  if (kernelOpens < 2 * count) wrong.push(`the namespace's books say ${kernelOpens} opens of ${2 * count}: ${said}`);
  return wrong;
}

function open(): number {
  return [...tally.edges.values()].reduce((sum, edge) => sum + (edge.key.role === "listener" ? 0 : edge.open), 0);
}

function openNow(): string {
  return `no connection open, but ${open()}`;
}

/** sysfs shows the devices of the namespace that mounted it: `ip netns exec` mounts a fresh one. */
async function steerToAllCores(namespace: string): Promise<void> {
  const mask = (2 ** availableParallelism() - 1).toString(16);
  const file = "/sys/class/net/lo/queues/rx-0/rps_cpus";
  await run(["ip", "netns", "exec", namespace, "sh", "-c", `echo ${mask} >${file}`]);
}
