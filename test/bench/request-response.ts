/**
 * Small messages there and back on one connection, and bulk, with and without an agent. No program of ours
 * runs for either: the count of runs says so, CPU and times confirm it.
 */
import type { Lab } from "../lab/world/lab.ts";
import { attachedHooks } from "./attached.ts";
import { Books, oneNode } from "./books.ts";
import { Bursts, PINNED } from "./bursts.ts";
import { bpfStatsAreOn, hookCost, type Scale, withBpfStats } from "./measure.ts";
import { compare, methodOf, type Plan } from "./on-off.ts";
import { costRow, rateRow } from "./on-off-rows.ts";
import { number, type Row, verdictOf } from "./table.ts";

const MESSAGE_BYTES = 128;
const WRITE_BYTES = 65_536;
const ECHO_PORT = 7;
const SINK_PORT = 9;
const ON = "on";

export async function measureRequestResponse({ quick }: Scale): Promise<Row[]> {
  const lab = await oneNode();
  try {
    const bursts = await Bursts.start(lab, [
      { port: ECHO_PORT, mode: "echo" },
      { port: SINK_PORT, mode: "sink" },
    ]);
    const rows = [
      ...(await compareOnOff(
        lab,
        bursts,
        quick ? 100 : 150,
        quick ? { blocks: 1, bursts: 1 } : { blocks: 24, bursts: 5 },
      )),
      await runsPerRound(lab, bursts, quick ? 300 : 1000),
    ];
    await bursts.close();
    return rows;
  } finally {
    await lab.close();
  }
}

async function compareOnOff(lab: Lab, client: Bursts, ms: number, size: Omit<Plan, "settings">): Promise<Row[]> {
  const play = async () => {
    const rounds = await client.play("ping", ECHO_PORT, ms, MESSAGE_BYTES);
    const bulk = await client.play("bulk", SINK_PORT, ms, WRITE_BYTES);
    return {
      roundNs: rounds.elapsed_ns / rounds.operations,
      roundCpuNs: rounds.cpu_ns / rounds.operations,
      p50Ns: rounds.p50_ns,
      p99Ns: rounds.p99_ns,
      writeNs: bulk.elapsed_ns / bulk.operations,
      writeCpuNs: bulk.cpu_ns / bulk.operations,
    };
  };
  const plan = { ...size, settings: { [ON]: {} } };
  const { roundNs, roundCpuNs, p50Ns, p99Ns, writeNs, writeCpuNs } = await compare(lab, plan, play);
  const stats = bpfStatsAreOn() ? "; with bpf_stats_enabled=1, which costs on its own" : "";
  const how = `${methodOf(plan)} of ${ms} ms, ${PINNED}${stats}`;
  const ofMessages = { how: `${how}; ${MESSAGE_BYTES} B a message` };
  const ofWrites = { how: `${how}; one connection, ${number(WRITE_BYTES / 1024)} KiB a write` };
  const us = (ns: number) => `${number(ns / 1000, 1)} µs`;
  const perSecond = `${number(1e9 / roundNs.off)} a second`;
  const gigabits = `${number((WRITE_BYTES * 8) / writeNs.off, 1)} Gbit/s`;
  const nsAByte = `${number(writeCpuNs.off / WRITE_BYTES, 3)} ns`;
  return [
    costRow(roundCpuNs, ON, { ...ofMessages, budget: "round-trip-cpu", limit: 1.01, off: us(roundCpuNs.off) }),
    costRow(p50Ns, ON, { ...ofMessages, budget: "round-trip-p50", limit: 1.01, off: us(p50Ns.off) }),
    costRow(p99Ns, ON, { ...ofMessages, budget: "round-trip-p99", limit: 1.03, off: us(p99Ns.off) }),
    rateRow(roundNs, ON, { ...ofMessages, budget: "round-trips", limit: 1 / 0.99, off: perSecond }),
    costRow(writeCpuNs, ON, { ...ofWrites, budget: "bulk-cpu", limit: 1.01, off: nsAByte }),
    rateRow(writeNs, ON, { ...ofWrites, budget: "bulk", limit: 1 / 0.99, off: gigabits }),
  ];
}

/** Where our programs are attached, and how often they run while messages go back and forth. */
async function runsPerRound(lab: Lab, client: Bursts, ms: number): Promise<Row> {
  const books = await Books.open(lab);
  try {
    const hooks = await attachedHooks(books.node.pins);
    return await withBpfStats(async () => {
      const { programs: before } = await books.exchange();
      const { operations: rounds } = await client.play("ping", ECHO_PORT, ms, MESSAGE_BYTES);
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
  ...["kfree_skb", "neigh_create", "neigh_timer_handler"],
]);
