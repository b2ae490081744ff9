/**
 * Connections that are only held, more and more of them: what the walk and the agent cost, and whether new
 * ones are still all seen.
 *
 *   5,000 held: 10,000 sockets   20,000 held   50,000 held: 100,000 sockets   100,000 held
 *
 * Each has both its ends here, so it is two sockets.
 */
import { NodeAgent } from "../lab/agents/agents.ts";
import { eventually } from "../lab/programs/process.ts";
import type { Counts, Workload } from "../lab/programs/workload.ts";
import type { Lab } from "../lab/world/lab.ts";
import { Receiver } from "../otlp/receiver.ts";
import { Books, oneNode } from "./books.ts";
import { median, processCpuUs, type Scale } from "./measure.ts";
import { exactness } from "./short-connections.ts";
import { type BudgetName, number, type Row, verdictOf } from "./table.ts";

const PORTS = 100;
const FIRST_PORT = 9000;
/** For new connections, while others are held. */
const CHURN_PORT = 8080;
const INTERVAL_S = 15;
/** What the agent says of connections, not of itself. */
const FLOW_METRICS = "flowspan.tcp.";

export async function measureOpenSockets({ quick }: Scale): Promise<Row[]> {
  const lab = await oneNode();
  try {
    const population = await Population.start(lab);
    try {
      return await measure(population, quick);
    } finally {
      await population.books.close();
    }
  } finally {
    await lab.close();
  }
}

async function measure(population: Population, quick: boolean): Promise<Row[]> {
  await population.growTo(5_000);
  const rows = [await walkCost(population, "walk-10000")];
  if (quick) return rows;
  await population.growTo(20_000);
  rows.push(await newOnesSeen(population, "held-20000"));
  await population.growTo(50_000);
  rows.push(await walkCost(population, "walk-100000"));
  rows.push(await population.books.lend(() => agentCost(population)));
  await population.growTo(100_000);
  rows.push(await newOnesSeen(population, "held-100000"));
  return rows;
}

class Population {
  readonly lab: Lab;
  readonly books: Books;
  readonly #holders: Workload[] = [];
  readonly #churned: Counts[] = [];
  #held = 0;

  private constructor(lab: Lab, books: Books) {
    this.lab = lab;
    this.books = books;
  }

  static async start(lab: Lab): Promise<Population> {
    const ports = [CHURN_PORT, ...Array.from({ length: PORTS }, (_, i) => FIRST_PORT + i)];
    await lab.pod("server").serve({ listen: ports.map((port) => ({ port })), workers: 8 });
    return new Population(lab, await Books.open(lab));
  }

  get held(): number {
    return this.#held;
  }

  async growTo(connections: number): Promise<void> {
    const address = this.lab.pod("server").ips.v4;
    const to = Array.from({ length: PORTS }, (_, i) => ({ address, port: FIRST_PORT + i }));
    const count = connections - this.#held;
    const holder = this.lab.pod("client").start("hold", { to, count });
    this.#holders.push(holder);
    await holder.ready(120_000);
    this.#held = connections;
  }

  async churn(count: number, perSecond: number): Promise<void> {
    const to = [{ address: this.lab.pod("server").ips.v4, port: CHURN_PORT }];
    const options = { to, count, workers: 1, parallel: 64, paceMs: 1000 / perSecond };
    this.#churned.push(await this.lab.pod("client").play("churn", options));
  }

  /** What all clients together have counted so far. */
  async counts(): Promise<Counts> {
    const all = [...(await Promise.all(this.#holders.map((each) => each.counts()))), ...this.#churned];
    const sum = (name: "opened" | "closed" | "bytesSent" | "bytesReceived") =>
      all.reduce((total, each) => total + each[name], 0);
    return {
      ...(all[0] as Counts),
      opened: sum("opened"),
      closed: sum("closed"),
      bytesSent: sum("bytesSent"),
      bytesReceived: sum("bytesReceived"),
    };
  }
}

async function walkCost({ books }: Population, budget: BudgetName): Promise<Row> {
  const walks: number[] = [];
  for (let i = 0; i < 7; i++) walks.push(Number((await books.exchange()).end.walkNs));
  const { sockets } = books.last.end;
  const ns = median(walks);
  const share = ns / (INTERVAL_S * 1e9);
  return {
    budget,
    measured: `${number(share * 100, 2)} %: ${number(ns / 1e6, 1)} ms for ${number(sockets)} sockets, ${number(ns / sockets)} ns each`,
    verdict: verdictOf(share <= 0.005),
    how: "median walk of 7 exchanges, as the probe times it",
  };
}

/** Two real intervals of a whole agent, its export and its own telemetry included. */
async function agentCost({ lab, books }: Population): Promise<Row> {
  const receiver = await Receiver.start({ forget: true });
  let exports = 0;
  receiver.onPoints((points) => {
    if (points.some(({ metric }) => metric.startsWith(FLOW_METRICS))) exports++;
  });
  const intervals = (count: number) => {
    const wanted = exports + count;
    return eventually(`${wanted} exports`, () => exports >= wanted, (count + 1) * INTERVAL_S * 1000);
  };
  const agent = new NodeAgent(lab, "node-1", { endpoint: receiver.endpoint, intervalMs: INTERVAL_S * 1000 });
  try {
    const { pid } = await agent.startAgent();
    await intervals(1);
    const before = processCpuUs(pid);
    const begun = performance.now();
    await intervals(2);
    const share = (processCpuUs(pid) - before) / ((performance.now() - begun) * 1000);
    return {
      budget: "agent-100000",
      measured: `${number(share * 100, 2)} % with ${number(books.last.end.edges)} edges`,
      verdict: verdictOf(share <= 0.01),
      how: `CPU of all threads of the bundled agent over two intervals of ${INTERVAL_S} s, after the first`,
    };
  } finally {
    await agent.stop();
    await receiver.close();
  }
}

async function newOnesSeen(population: Population, budget: BudgetName): Promise<Row> {
  await population.churn(10_007, 5_000);
  const counts = await population.counts();
  await population.books.untilClosed(counts.closed);
  const { isExact, text } = exactness(population.books, counts, population.held);
  return {
    budget,
    measured: text,
    verdict: verdictOf(isExact),
    how: "those held and 10,007 more at 5,000/s: edges of both ends against the workload's own count, no loss reported",
  };
}
