/**
 * From the end of a connection in the kernel to its decoded record here, at 5,000 connections a second.
 */
import { Books, oneNode } from "./books.ts";
import { bootClock, percentile, type Scale } from "./measure.ts";
import { number, type Row } from "./table.ts";

const PER_SECOND = 5_000;

export async function measureLatency({ quick }: Scale): Promise<Row[]> {
  const now = bootClock();
  const tookUs: number[] = [];
  const lab = await oneNode();
  try {
    const books = await Books.open(lab, ({ endNs }) => tookUs.push(Number(now() - endNs) / 1000));
    const server = await lab.pod("server").serve({ listen: [{ port: 8080 }], workers: 1 });
    const to = [{ address: lab.pod("server").ips.v4, port: 8080 }];
    const count = PER_SECOND * (quick ? 1 : 4);
    const paced = { count, workers: 1, parallel: 64, paceMs: 1000 / PER_SECOND };
    const begun = performance.now();
    const { opened } = await lab.pod("client").play("churn", { to, ...paced });
    const rate = opened / ((performance.now() - begun) / 1000);
    await books.untilClosed(opened);
    await books.until(() => tookUs.length >= 2 * opened);
    await server.close();
    const { records_full: full = 0 } = books.losses;
    await books.close();
    const p99 = percentile(tookUs, 0.99);
    const isComplete = tookUs.length === 2 * opened && full === 0;
    return [
      {
        budget: "latency",
        measured: `${number(p99)} µs, p50 ${number(percentile(tookUs, 0.5))} µs: ${number(tookUs.length)} records of ${number(opened)} connections, ${number(rate)} a second`,
        verdict: p99 < 1000 && isComplete ? "ok" : "missed",
        how: "`end_ns` of every record (both ends) against CLOCK_BOOTTIME when it is decoded, on the cores that the workload uses too",
      },
    ];
  } finally {
    await lab.close();
  }
}
