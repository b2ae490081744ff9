/**
 * A connection that stays open, told in interim records: with what came after the last one they add up to the span at its
 * end, at both ends, and metrics count it once.
 */
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { ALL_SPANS, inSpanLab, pairUp, type SpanLab } from "../agents/span-lab.ts";
import type { Counts } from "../programs/workload.ts";

const test = needs("root", "btf", "cgroup2", "iptables", "build");
const ROUNDS = 4;
/** After the last interim record. */
const LAST = { upload: 4003, download: 1511 };
const INTERIMS = { ...ALL_SPANS, active_timeout: 400 };
/** None ends while the test runs. */
const NO_MORE_INTERIMS = { ...ALL_SPANS, active_timeout: 86_400_000 };
/** Two spans are put on the wall clock by two readings of it. */
const CLOCKS_NS = 1_000_000;

test("a long connection's interim records and what came after the last one add up to it at both ends, and metrics count it once", async () => {
  await inSpanLab({ spans: INTERIMS }, async (spanLab) => {
    const { bytesSent, bytesReceived } = await play(spanLab);

    const { pairs } = pairUp(wholes(spanLab));
    const once = { opened: 1, closed: 1, open: 0 };
    expect(pairs.length).toBe(1);
    for (const end of ["client", "server"] as const) {
      const whole = pairs[0]?.[end] as ReceivedSpan;
      const interims = interimsOf(spanLab, end);
      expect(interims.length).toBeGreaterThanOrEqual(2 * ROUNDS);
      const last = end === "client" ? [LAST.upload, LAST.download] : [LAST.download, LAST.upload];
      expect(added([whole]).map((bytes, i) => bytes - (added(interims)[i] ?? 0))).toEqual(last);
      expect(new Set(interims.map(({ spanId }) => spanId)).size).toBe(interims.length);
      expect(interims.map(({ attributes }) => attributes["flowspan.tcp.interim.index"])).toEqual([...interims.keys()]);
      expect(new Set(interims.map(({ traceId, parentSpanId }) => `${traceId} ${parentSpanId}`))).toEqual(
        new Set([`${whole.traceId} ${whole.spanId}`]),
      );
      expect(gaps(whole, interims).filter((ns) => ns > CLOCKS_NS)).toEqual([]);
      expect(whole.attributes["flowspan.tcp.interim.count"]).toBe(interims.length);
    }
    expect(added(pairs.map(({ client }) => client))).toEqual([bytesSent, bytesReceived]);
    expect(spanLab.observed.ends()).toMatchObject({
      client: { ...once, bytesSent, bytesReceived },
      server: { ...once, bytesSent: bytesReceived, bytesReceived: bytesSent },
    });
  });
});

/**
 * A round after the other, two interim records between, and one that no interim record tells of; resolves when the connection has
 * ended and all of it was told.
 */
async function play(spanLab: SpanLab): Promise<Counts> {
  const held = spanLab.lab.pod("client").start("hold", { to: spanLab.service, count: 1 });
  await held.ready();
  const told = () => [interimsOf(spanLab, "client").length, interimsOf(spanLab, "server").length];
  for (let round = 1; round <= ROUNDS; round++) {
    const before = told();
    await held.send(1009 * round, 503);
    // One may have ended while the round was played; the next one has the rest.
    await spanLab.observed.until("two more interim records of each end", () =>
      told().every((count, i) => count >= (before[i] ?? 0) + 2),
    );
  }
  await spanLab.configure(NO_MORE_INTERIMS);
  await held.send(LAST.upload, LAST.download);
  const counts = await held.close();
  await spanLab.observed.until("the end of the connection", () => wholes(spanLab).length === 2);
  await spanLab.observed.exchanges(2);
  return counts;
}

function interimsOf({ spans }: SpanLab, end: "client" | "server"): ReceivedSpan[] {
  // Only a server's span knows the client by that name.
  const isOf = ({ attributes }: ReceivedSpan) => ("client.port" in attributes ? "server" : "client") === end;
  return spans.filter((span) => span.kind === "internal" && isOf(span));
}

function wholes({ spans }: SpanLab): ReceivedSpan[] {
  return spans.filter(({ kind }) => kind !== "internal");
}

/** Bytes sent and received. */
function added(spans: readonly ReceivedSpan[]): number[] {
  return ["flowspan.tcp.bytes.sent", "flowspan.tcp.bytes.received"].map((name) =>
    spans.reduce((sum, { attributes }) => sum + Number(attributes[name]), 0),
  );
}

/** Between the beginning of each interim record and the end of the one before, or of the connection's beginning. */
function gaps(whole: ReceivedSpan, interims: readonly ReceivedSpan[]): number[] {
  const begins = [whole.startUnixNs, ...interims.map(({ endUnixNs }) => endUnixNs)];
  return interims.map(({ startUnixNs }, i) => Math.abs(Number(startUnixNs - (begins[i] ?? 0n))));
}
