/**
 * Small messages there and back on one connection, and bulk, with and without an agent. No program of ours
 * runs for either: the count of runs says so, the times confirm it.
 */
import type { Lab } from "../lab/lab.ts";
import { program, run } from "../lab/run.ts";
import { Books, oneNode } from "./books.ts";
import { bpfStatsAreOn, cgroupCpuUs, hookCost, type Scale, withBpfStats } from "./measure.ts";
import { type Comparison, compare, JUDGED, judge } from "./on-off.ts";
import { number, type Row, ratio, verdictOf } from "./table.ts";

const MESSAGE_BYTES = 128;

export async function measureRequestResponse({ quick }: Scale): Promise<Row[]> {
  const lab = await oneNode();
  try {
    const server = await lab.pod("server").serve({ listen: [{ port: 7, mode: "echo" }, { port: 8080 }], workers: 1 });
    const rows = [
      ...(await compareOnOff(lab, quick ? 2 : 9, quick ? 400 : 1000, quick ? 200e6 : 1e9)),
      await runsPerRound(lab, quick ? 300 : 1000),
    ];
    await server.close();
    return rows;
  } finally {
    await lab.close();
  }
}

async function compareOnOff(lab: Lab, cycles: number, ms: number, bytes: number): Promise<Row[]> {
  const stats = bpfStatsAreOn() ? "; with bpf_stats_enabled=1, which costs on its own" : "";
  const rounds = await compare(lab, cycles, () => playRounds(lab, ms));
  const bulk = await compare(lab, cycles, () => playBulk(lab, bytes));
  const how = `medians of ${cycles} cycles off-on-off of ${ms} ms, ${MESSAGE_BYTES} B a message, an export every second; ${JUDGED}${stats}`;
  const cpuText = `CPU a round ${against(rounds.cpuUs)}`;
  return [
    {
      budget: "round-trip-p50",
      measured: `${against(rounds.p50Ns)}, ${number(rounds.p50Ns.off / 1000, 1)} µs; ${cpuText}`,
      verdict: judge(rounds.p50Ns, rounds.cpuUs, 1.01),
      how,
    },
    {
      budget: "round-trip-p99",
      measured: `${against(rounds.p99Ns)}, ${number(rounds.p99Ns.off / 1000, 1)} µs; ${cpuText}`,
      verdict: judge(rounds.p99Ns, rounds.cpuUs, 1.03),
      how,
    },
    {
      budget: "round-trips",
      measured: `${against(inverse(rounds.roundNs))}, ${number(1e9 / rounds.roundNs.off)} a second; ${cpuText}`,
      verdict: judge(rounds.roundNs, rounds.cpuUs, 1 / 0.99),
      how,
    },
    {
      budget: "bulk",
      measured: `${against(inverse(bulk.ns))}, ${number((bytes * 8) / bulk.ns.off, 1)} Gbit/s; CPU a GB ${against(bulk.cpuUs)}`,
      verdict: judge(bulk.ns, bulk.cpuUs, 1 / 0.99),
      how: `medians of ${cycles} cycles off-on-off of ${number(bytes / 1e9, 1)} GB on one connection; ${JUDGED}${stats}`,
    },
  ];
}

/** The other way round: of a rate instead of a time. */
function inverse({ off, on, ratio, control }: Comparison): Comparison {
  return { off: 1 / off, on: 1 / on, ratio: 1 / ratio, control: 1 / control };
}

function against({ ratio: measured, control }: Comparison): string {
  return `${ratio(measured)} (off/off ${ratio(control)})`;
}

interface Rounds {
  readonly rounds: number;
  readonly elapsed_ns: number;
  readonly p50_ns: number;
  readonly p99_ns: number;
}

async function ping(lab: Lab, ms: number): Promise<Rounds> {
  const { v4 } = lab.pod("server").ips;
  const { code, stdout, stderr } = await lab
    .pod("client")
    .exec([program("ping"), v4, "7", String(ms), String(MESSAGE_BYTES)]);
  if (code !== 0) throw new Error(`ping ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Rounds;
}

async function playRounds(lab: Lab, ms: number) {
  const before = cgroupCpuUs(lab.nodeCgroup("node-1"));
  const { rounds, elapsed_ns, p50_ns, p99_ns } = await ping(lab, ms);
  // The first tenth is played but not counted.
  const cpuUs = (cgroupCpuUs(lab.nodeCgroup("node-1")) - before) * 0.9;
  return { p50Ns: p50_ns, p99Ns: p99_ns, roundNs: elapsed_ns / rounds, cpuUs: cpuUs / rounds };
}

async function playBulk(lab: Lab, bytes: number) {
  const to = [{ address: lab.pod("server").ips.v4, port: 8080 }];
  const cpuBefore = cgroupCpuUs(lab.nodeCgroup("node-1"));
  const begun = process.hrtime.bigint();
  await lab.pod("client").play("send", { to, count: 1, upload: bytes });
  const ns = Number(process.hrtime.bigint() - begun);
  return { ns, cpuUs: cgroupCpuUs(lab.nodeCgroup("node-1")) - cpuBefore };
}

/** Where our programs are attached, and how often they run while messages go back and forth. */
async function runsPerRound(lab: Lab, ms: number): Promise<Row> {
  const books = await Books.open(lab);
  try {
    const hooks = await attachedHooks(books.node.pins);
    return await withBpfStats(async () => {
      const { programs: before } = await books.exchange();
      const { rounds } = await ping(lab, ms);
      const { programs: after } = await books.exchange();
      const { runs } = hookCost(before, after);
      return {
        budget: "per-packet",
        measured: `${hooks.join(", ")}; ${runs} runs of all in ${number(rounds)} round trips`,
        verdict: verdictOf(hooks.length > 0 && hooks.every((hook) => EVENT_HOOKS.has(hook))),
        how: "all links below our pins by `bpftool link`; run counts by bpf_stats, which see the whole machine's sockets",
      };
    });
  } finally {
    await books.close();
  }
}

/** What fires for a connection's life and troubles; everything else would have to be looked at. */
const EVENT_HOOKS: ReadonlySet<string> = new Set([
  ...["inet_sock_set_state", "inet_sk_error_report"],
  ...["tcp_retransmit_skb", "tcp_retransmit_synack", "tcp_send_reset", "tcp_receive_reset"],
]);

interface Link {
  readonly type: string;
  readonly tp_name?: string;
  readonly pinned?: readonly string[];
}

async function attachedHooks(pins: string): Promise<string[]> {
  const links = JSON.parse(await run(["bpftool", "--json", "--bpffs", "link", "list"])) as Link[];
  const ours = links.filter(({ pinned = [] }) => pinned.some((path) => path.startsWith(`${pins}/`)));
  return [...new Set(ours.map(({ type, tp_name }) => tp_name ?? type))].sort();
}
