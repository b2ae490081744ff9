/**
 * What one data point costs the agent, end to end: frames read, decoded, named, summed, encoded, sent over
 * gRPC, answered, settled.
 */
import { BUSY_NODE, withLoadedAgent } from "./loaded-agent.ts";
import { processCpuUs, type Scale } from "./measure.ts";
import { number, type Row, verdictOf } from "./table.ts";

const INTERVAL_MS = 1000;

export function measureEdgesToOtlp({ quick }: Scale): Promise<Row[]> {
  return withLoadedAgent(BUSY_NODE, INTERVAL_MS, async (agent) => {
    // The first exchanges make the series; what is budgeted is the work that comes back every interval.
    const first = await agent.until(agent.progress().exchanges + (quick ? 1 : 4));
    const cpuBefore = processCpuUs(agent.pid);
    const last = await agent.until(first.exchanges + (quick ? 3 : 10));
    const cpuUs = processCpuUs(agent.pid) - cpuBefore;
    const points = last.points - first.points;
    const exchanges = last.exchanges - first.exchanges;
    const each = cpuUs / points;
    return [
      {
        budget: "point",
        measured: `${number(each, 2)} µs: ${number(points / exchanges)} points and ${number(cpuUs / exchanges / 1000)} ms an exchange`,
        verdict: verdictOf(each <= 2),
        how: `CPU of all threads of the bundled agent over ${exchanges} exchanges, its own telemetry included; probe, receiver and API in another process`,
      },
    ];
  });
}
