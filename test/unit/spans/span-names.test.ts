/** Names that are asked for once and used again: only where the identity would give the same. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ClusterChange } from "../../../agent/model/cluster-objects.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { Identified } from "../../../agent/model/names.ts";
import type { Entry } from "../../../agent/spans/queue.ts";
import { type SpanIdentity, SpanNames } from "../../../agent/spans/span-names.ts";
import { END_OF_TIME } from "../../../agent/spans/spans.ts";
import { clusterIdentity, edge, node, ns, pod, START_MS } from "../naming/cluster-builders.ts";
import { connectionOf, namesOf } from "./builders.ts";

/** CLOCK_BOOTTIME of the tests, in seconds. */
const s = (seconds: number) => BigInt(seconds) * 1_000_000_000n;
const KEY = edge();

function entryOf(key: EdgeKey, startNs: bigint, endNs: bigint): Entry {
  return { connection: { ...connectionOf({ startNs, endNs }), key }, offsetNs: 0n, arrivedMs: Number(endNs) / 1e6 };
}

/** Counts how often it is asked. */
class AskedIdentity implements SpanIdentity {
  version = 1;
  asked = 0;
  passing = false;

  knowsCgroup(): boolean {
    return true;
  }

  identify(): Identified {
    this.asked++;
    return { state: "named", ...namesOf(), passing: this.passing };
  }
}

describe("names of an edge", () => {
  /** Asks for a record at each of these times, after one whose changes are known until 100 s. */
  function askedFor(
    identity: AskedIdentity,
    ...records: readonly (readonly [startS: number, endS: number])[]
  ): number[] {
    const names = new SpanNames(identity);
    names.of(entryOf(edge({ serverPort: 1 }), s(98), s(99)), s(100), 0n);
    return records.map(([start, end]) => {
      const before = identity.asked;
      names.of(entryOf(KEY, s(start), s(end)), s(200), 0n);
      return identity.asked - before;
    });
  }

  test("are asked for once, for connections that begin no earlier", () => {
    expect(askedFor(new AskedIdentity(), [110, 120], [110, 115], [115, 119])).toEqual([1, 0, 0]);
  });

  test("are asked for anew for one that began before, and then serve it too", () => {
    expect(askedFor(new AskedIdentity(), [110, 120], [109, 121], [109, 111])).toEqual([1, 1, 0]);
  });

  test("are asked for anew for each that ended before all of this version was known", () => {
    expect(askedFor(new AskedIdentity(), [90, 100], [90, 100], [95, 102], [95, 100])).toEqual([1, 1, 1, 1]);
  });

  test("are asked for anew when another version may say otherwise", () => {
    const identity = new AskedIdentity();
    const names = new SpanNames(identity);
    for (const version of [1, 1, 2, 2]) {
      identity.version = version;
      names.of(entryOf(KEY, s(110), s(120)), s(version * 10), 0n);
    }

    expect(identity.asked).toBe(2);
  });

  test("that may be others for later connections are never used again", () => {
    const identity = new AskedIdentity();
    identity.passing = true;

    expect(askedFor(identity, [110, 120], [111, 121])).toEqual([1, 1]);
  });
});

test("are those that the identity gives to each connection by itself, whatever happens to pods meanwhile", () => {
  const ADDRESSES = ["10.1.0.1", "10.1.0.2"];
  const KEYS = ADDRESSES.flatMap((remoteAddress) => [
    edge({ remoteAddress, serverPort: 80 }),
    edge({ remoteAddress, role: "server" }),
  ]);
  const step = fc.oneof(
    fc.record({
      pod: fc.nat(3),
      address: fc.nat(1),
      ended: fc.boolean(),
      afterMs: fc.nat(20_000),
    }),
    fc.record({ key: fc.nat(3), agoMs: fc.nat(20_000), lastedMs: fc.nat(20_000), afterMs: fc.nat(5_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const [asked, plain] = [clusterIdentity(), clusterIdentity()];
      const names = new SpanNames(asked);
      let nowMs = START_MS + 60_000;
      const apply = (change: ClusterChange) => [asked, plain].map((identity) => identity.apply(change));
      apply({ feed: "nodes", type: "upsert", atMs: nowMs, object: node("node-1", { podCidrs: ["10.1.0.0/16"] }) });
      for (const each of steps) {
        nowMs += each.afterMs;
        if ("pod" in each) {
          const object = pod(`web-${each.pod}`, {
            addresses: [ADDRESSES[each.address] as string],
            ended: each.ended,
            service: { name: `web-${each.pod}`, namespace: "shop" },
          });
          apply({ feed: "pods", type: "upsert", atMs: nowMs, object });
          continue;
        }
        const [endMs, key] = [nowMs - each.agoMs, KEYS[each.key] as EdgeKey];
        const entry = entryOf(key, ns(endMs - each.lastedMs), ns(endMs));
        const { startNs, endNs } = entry.connection;

        const given = names.of(entry, ns(nowMs), END_OF_TIME);

        const direct = plain.identify(key, startNs, endNs, ns(nowMs));
        if (direct.state === "pending") expect(given).toBe("pending");
        else expect(given).toMatchObject({ local: direct.local, remote: direct.remote });
      }
    }),
    { numRuns: 300 },
  );
});
