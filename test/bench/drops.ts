/**
 * Packets that the kernel drops, one after the other: what the programs that count them cost each, whether all are counted, and that
 * none of them runs for packets that arrive.
 */
import type { ExchangeData } from "../../agent/source/source.ts";
import { program, run } from "../lab/programs/run.ts";
import type { Lab } from "../lab/world/lab.ts";
import { Books, oneNode } from "./books.ts";
import { type Scale, withBpfStats } from "./measure.ts";
import { number, type Row, verdictOf } from "./table.ts";

const PORT = 9;
const HEALTHY_PORT = 8080;
const SHORT = 5_003;
const LIMIT_NS = 300;
const PROGRAMS = ["kfree_skb", "kfree_skb_twin"];
const REASON = "NETFILTER_DROP";

export async function measureDrops({ quick }: Scale): Promise<Row[]> {
  const lab = await oneNode();
  try {
    const server = lab.pod("server");
    await server.serve({ listen: [{ port: HEALTHY_PORT }] });
    const rule = ["INPUT", "-p", "udp", "--dport", String(PORT), "-j", "DROP"];
    await run(["nsenter", `--net=${server.place.netns}`, "iptables", "-I", ...rule]);
    const books = await Books.open(lab);
    try {
      return await withBpfStats(async () => [
        await healthy(lab, books),
        await flood(lab, books, quick ? 20_011 : 500_009),
      ]);
    } finally {
      await books.close();
    }
  } finally {
    await lab.close();
  }
}

async function healthy(lab: Lab, books: Books): Promise<Row> {
  const before = await books.exchange();
  const to = [{ address: lab.pod("server").ips.v4, port: HEALTHY_PORT }];
  const { bytesSent } = await lab.pod("client").play("send", { to, count: 101, parallel: 4, upload: 1_000_003 });
  const between = await books.exchange();
  const { runs } = spent(before, between);
  const { opened } = await lab.pod("client").play("churn", { to, count: SHORT });
  const purged = spent(between, await books.exchange());
  return {
    budget: "drops-healthy",
    measured: `${runs} runs in ${number(bytesSent / 1e6)} MB of 101 connections; ${number(purged.ns / opened)} ns a short connection whose client closes first, ${number(purged.runs / opened, 2)} runs`,
    verdict: verdictOf(runs <= 101),
    how: "runs of the programs on kfree_skb by bpf_stats; what comes too late or twice is a drop on a healthy path, too; a FIN that meets a closed socket is purged with it",
  };
}

async function flood(lab: Lab, books: Books, count: number): Promise<Row> {
  const before = await books.exchange();
  const begun = performance.now();
  await lab.pod("client").exec([program("datagrams"), "send", lab.pod("server").ips.v4, String(PORT), String(count)]);
  const perSecond = count / ((performance.now() - begun) / 1000);
  const after = await books.exchange();
  const counted = dropsOf(after) - dropsOf(before);
  const ns = spent(before, after).ns / count;
  return {
    budget: "drop",
    measured: `${number(ns)} ns with what measuring costs; ${number(counted)} of ${number(count)} counted; ${number(perSecond)} a second came about`,
    verdict: verdictOf(ns <= LIMIT_NS && counted === count),
    how: "bpf_stats of both programs over datagrams that a rule of INPUT drops, by number of datagrams",
  };
}

function spent(before: ExchangeData, after: ExchangeData): { readonly runs: number; readonly ns: number } {
  const of = ({ programs }: ExchangeData, what: "runs" | "runTimeNs", names: readonly string[]) =>
    programs.filter(({ name }) => names.includes(name)).reduce((sum, each) => sum + each[what], 0);
  return {
    // The twin runs with each run of the first.
    runs: of(after, "runs", PROGRAMS.slice(0, 1)) - of(before, "runs", PROGRAMS.slice(0, 1)),
    ns: of(after, "runTimeNs", PROGRAMS) - of(before, "runTimeNs", PROGRAMS),
  };
}

function dropsOf({ evidence }: ExchangeData): number {
  return evidence.totals.find(({ name }) => name === REASON)?.count ?? 0;
}
