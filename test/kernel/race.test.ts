/**
 * The race of walk and close, and of one state change that interrupts another: short connections on all cores
 * while walks, exchanges and settles run back to back, and no connection or byte is lost or doubled.
 *
 *   one pod, one net namespace:  container `client` ── lo, 41 addresses ── container `server`
 *
 * In the second test received packets are steered to all cores (RPS), so that their softirqs interrupt system
 * calls in the middle of our programs. FLOWSPAN_RACE sets another number of connections for the first.
 * Where the kernel hides state changes from every BPF program (witness.ts), as many may lack as it hid.
 */
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import type { Role } from "../../agent/model/edge.ts";
import { Tally } from "../lab/agents/tally.ts";
import { run } from "../lab/programs/run.ts";
import type { Counts } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { booksGrowth, type KernelBooks } from "../lab/world/kernel-books.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";
import { startWitness } from "../machine/witness.ts";

const CONNECTIONS = Number(process.env.FLOWSPAN_RACE ?? 1_000_003);
const STEERED = Math.min(CONNECTIONS, 50_021);
/** Of a hang; it takes a minute or two. */
const DEADLINE_MS = 400_000;
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
  "of a million short connections on all cores during walks none is lost or doubled",
  async () => {
    const played = await churnDuringWalks(CONNECTIONS);

    expect(played.walks).toBeGreaterThan(100);
    expect(unexplained(played)).toEqual([]);
  },
  DEADLINE_MS,
);

test(
  "of connections whose packets interrupt state changes none is lost or doubled",
  async () => {
    await steerToAllCores(basename(lab.pod("both").place.netns));

    const played = await churnDuringWalks(STEERED);

    expect(unexplained(played)).toEqual([]);
  },
  DEADLINE_MS,
);

interface Played {
  readonly walks: number;
  /** Opens of both ends in the namespace's own books. */
  readonly kernelOpens: number;
  readonly count: number;
  /** State changes that this machine's kernel may have hidden from every BPF program: see witness.ts. */
  readonly hidden: number;
  readonly unseen: Readonly<Record<"client" | "server", Lack>>;
}

async function churnDuringWalks(count: number): Promise<Played> {
  const before = {
    exchanges: tally.exchanges,
    client: seen("client"),
    server: seen("server"),
    books: await lab.pod("both").books(),
  };
  const witness = startWitness();
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
  const hidden = witness.stop();
  expect(client).toMatchObject({ opened: count, closed: count, bytesSent: UPLOAD * count });
  return {
    walks: tally.exchanges - before.exchanges,
    kernelOpens: booksOpens(before.books, await lab.pod("both").books()),
    count,
    hidden,
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
 * Nothing lacks at all, unless this machine's kernel hid state changes from BPF; then no more connections than
 * that. The namespace's own books know every open. Runs that the kernel skipped (`recursion_misses`) excuse none.
 */
function unexplained({ unseen, kernelOpens, count, hidden }: Played): string[] {
  const lacks = Object.values(unseen);
  const ends = lacks.reduce((sum, { opened, closed }) => sum + Math.max(opened, closed), 0);
  const bytes = lacks.reduce((sum, { bytesSent, bytesReceived }) => sum + bytesSent + bytesReceived, 0);
  const losses = Object.values(tally.losses).reduce((sum, each) => sum + each, 0);
  const said = `${JSON.stringify(unseen)}, hidden ${hidden}, losses ${JSON.stringify(tally.losses)}`;
  const wrong: string[] = [];
  if (lacks.some((each) => Object.values(each).some((value) => value < 0))) wrong.push(`counted twice: ${said}`);
  if (ends > hidden) wrong.push(`lacks though nothing was hidden from it: ${said}`);
  if (bytes > ends * (UPLOAD + DOWNLOAD)) wrong.push(`bytes lack without their connection: ${said}`);
  if (losses > 0 && hidden === 0) wrong.push(`says that it lost what it did not: ${said}`);
  if (ends > 0 && losses === 0) wrong.push(`lacks and names no loss: ${said}`);
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
