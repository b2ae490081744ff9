/** What a row's growth, and a namespace's, is found to be: which finding, with which numbers, and which growth is none. */
import { describe, expect, test } from "vitest";
import { FINDINGS, type FindingName } from "../../../agent/generated/findings.ts";
import type { EvidenceGrowth } from "../../../agent/model/evidence-growth.ts";
import type { EvidenceKey } from "../../../agent/model/kernel-evidence.ts";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import type { Counts } from "../series/kernel.ts";
import { CLIENT, FindingLab, type Interval, LISTENER, NETNS, NODE, told, troubleOf } from "./evidence.ts";

/** What is told of a trouble of two intervals, and of some without. */
function findingsOf(trouble: Interval, settings?: object, quiet = 4): string[][] {
  const lab = new FindingLab(settings);
  lab.play({ grow: { [CLIENT]: { opened: 1 } } });
  const without = Array.from({ length: quiet }, (): Interval => ({}));
  return [trouble, trouble, ...without].map((interval) => told(lab.play(interval)));
}

const ofClient = (counts: Counts): Interval => ({ grow: { [CLIENT]: counts } });
const WHOLE_INTERVAL_US = 15_000_000;

const unresolved = (count: number) =>
  troubleOf({ key: { kind: "neighbour-unresolved", remoteAddress: "10.0.0.2" }, count });

/** Three packets that a rule of the node drops on their way from the client to its server. */
const dropped = (key: Partial<EvidenceKey> = {}, more: Partial<EvidenceGrowth> = {}) =>
  troubleOf({ reason: "NETFILTER_DROP", count: 3, key, remote: peer("pod"), ...more });
const peer = (kind: RemoteEnd["kind"]): RemoteEnd => {
  return { kind, name: "shop", namespace: undefined, podName: undefined, label: "shop" };
};

describe("a trouble is its own finding and no other one", () => {
  test.each<[FindingName, Interval, number]>([
    ["listen_queue_overflow", { grow: { [LISTENER]: { listenerDrops: 23 } }, books: { listenOverflows: 23 } }, 1],
    ["syn_cookies", { books: { syncookiesSent: 23 } }, 1],
    ["ports_exhausted", ofClient({ failedNoLocalPort: 23 }), 1],
    ["connect_refused", ofClient({ failedRefused: 23 }), 1],
    ["connect_unanswered", ofClient({ failedTimedOut: 3, retransmitsSyn: 6 }), 1],
    ["connect_unanswered", ofClient({ failedHostUnreachable: 3 }), 1],
    ["connect_unanswered", ofClient({ failedCancelled: 3, retransmitsSyn: 3 }), 1],
    ["slow_reader", ofClient({ busyUs: WHOLE_INTERVAL_US, rwndLimitedUs: WHOLE_INTERVAL_US / 2 }), 2],
    ["small_send_buffer", ofClient({ busyUs: WHOLE_INTERVAL_US, sndbufLimitedUs: WHOLE_INTERVAL_US / 2 }), 2],
    ["retransmits", ofClient({ segsOut: 1000, retransmitsFast: 5 }), 2],
    ["retransmits", ofClient({ segsOut: 1000, retransmitsTimeout: 4, retransmitsOther: 1 }), 2],
    ["socket_memory", { books: { rcvPruned: 1, pruneCalled: 23 } }, 1],
    ["socket_memory", { books: { tcpAbortOnMemory: 1 } }, 1],
    ["neighbour_table_overflow", { tableFulls: 1 }, 1],
    [
      "neighbour_table_overflow",
      {
        tableFulls: 23,
        troubles: [troubleOf({ key: { kind: "neighbour-overflow" }, count: 3 })],
        grow: { [CLIENT]: { failedCancelled: 23, retransmitsSyn: 23 } },
      },
      1,
    ],
    ["neighbour_unresolved", { troubles: [unresolved(3)] }, 1],
    ["packets_dropped", { troubles: [dropped({ syn: true })] }, 1],
    ["packets_dropped", { troubles: [dropped({ transport: 17 })] }, 1],
    [
      "packets_dropped",
      { troubles: [dropped({ syn: true })], ...ofClient({ failedTimedOut: 3, retransmitsSyn: 3 }) },
      1,
    ],
    ["packets_dropped", { troubles: [dropped()], ...ofClient({ segsOut: 100_000, retransmitsFast: 1 }) }, 1],
    ["mtu_black_hole", { troubles: [dropped({}, { reason: "PKT_TOO_BIG", count: 1 })] }, 2],
    ["conntrack_full", { conntrack: { drop: 3 }, troubles: [dropped({ syn: true })] }, 1],
    ["conntrack_full", { conntrack: { earlyDrop: 3 } }, 1],
    [
      "conntrack_insert_failed",
      {
        conntrack: { drop: 3, insertFailed: 3 },
        troubles: [dropped({ syn: true })],
        ...ofClient({ failedTimedOut: 3, retransmitsSyn: 3 }),
      },
      1,
    ],
    ["neighbour_unresolved", { troubles: [unresolved(3)], ...ofClient({ failedHostUnreachable: 3 }) }, 1],
  ])("%s", (name, trouble, startAfter) => {
    const start = [`${name} start`];
    const { endAfter } = FINDINGS[name];

    const found = findingsOf(trouble, {}, endAfter + 2);

    const goesOn = Array.from({ length: endAfter - 1 }, () => []);
    const over = [[`${name} end`], [], []];
    expect(found).toEqual([startAfter === 1 ? start : [], startAfter === 2 ? start : [], ...goesOn, ...over]);
  });
});

describe("no evidence, no finding", () => {
  test.each<[string, Interval]>([
    ["a healthy connection", ofClient({ opened: 23, closed: 23, bytesSent: 1e6, segsOut: 1000, busyUs: 1e6 })],
    ["fewer refused connects than the threshold", ofClient({ failedRefused: 2 })],
    ["connects that the application gave up before a SYN was sent again", ofClient({ failedCancelled: 23 })],
    ["SYNs that were sent again for connects that worked", ofClient({ opened: 23, retransmitsSyn: 23 })],
    ["resends that the peer already had", ofClient({ segsOut: 100, retransmitsTlp: 23, spurious: 23 })],
    ["a share of resends below the threshold", ofClient({ segsOut: 100_000, retransmitsFast: 23 })],
    ["a few resends of a few segments", ofClient({ segsOut: 10, retransmitsTimeout: 4 })],
    ["segments that were too large for the path", ofClient({ segsOut: 100, retransmitsNonCongestion: 23 })],
    ["a window that limits for a moment", ofClient({ busyUs: 1e6, rwndLimitedUs: 1e6 })],
    ["a window that limits a small share", ofClient({ busyUs: WHOLE_INTERVAL_US, rwndLimitedUs: 4e6 })],
    ["receive queues that were pruned in time", { books: { pruneCalled: 23 } }],
    [
      "SYNs that came again since a SYN-ACK was lost, which the listener drops",
      { grow: { [LISTENER]: { listenerDrops: 23 } } },
    ],
    ["overflows of a namespace whose listener dropped nothing", { books: { listenOverflows: 23 } }],
    ["the end of connections that are tracked no more, which nobody misses", { troubles: [dropped()] }],
    ["two dropped SYNs", { troubles: [dropped({ syn: true }, { count: 2 })] }],
    [
      "SYNs of strangers that a rule keeps out",
      { troubles: [dropped({ syn: true }, { direction: "receive", remote: peer("external") })] },
    ],
    ["SYNs to what is no pod or unit", { troubles: [dropped({ syn: true }, { isOwned: false })] }],
    ["SYNs to a closed port", { troubles: [dropped({ syn: true }, { reason: "NO_SOCKET" })] }],
    ["a neighbour that did not answer twice", { troubles: [unresolved(2)] }],
    ["a full queue that dropped nothing", { waiting: { open: 129, limit: 128 } }],
    [
      "trouble of the overflow edge, whose addresses mean nothing",
      { grow: { "overflow a>b:80": { failedRefused: 23 } } },
    ],
  ])("%s", (_, trouble) => {
    expect(findingsOf(trouble).flat()).toEqual([]);
  });

  test("the first exchange judges nothing: its growth may be old", () => {
    const lab = new FindingLab();

    expect(lab.play(ofClient({ failedRefused: 23 }))).toEqual([]);
  });

  test("a finding that is switched off is not made, and the others are", () => {
    const both = ofClient({ failedRefused: 23, failedNoLocalPort: 23 });

    expect(findingsOf(both, { connect_refused: { enabled: false } })[0]).toEqual(["ports_exhausted start"]);
    expect(findingsOf(both, { enabled: false }).flat()).toEqual([]);
  });
});

test("a threshold is what the settings say", () => {
  const trouble = ofClient({ failedRefused: 23 });

  expect(findingsOf(trouble, { connect_refused: { threshold: 24 } }).flat()).toEqual([]);
  expect(findingsOf(trouble, { connect_refused: { threshold: 23 } }).flat()).not.toEqual([]);
});

test("growth that a row repeats while the Collector is away counts once", () => {
  const lab = new FindingLab();
  lab.play();

  lab.play(ofClient({ failedRefused: 23 }));
  lab.play();
  const [end] = lab.play();

  expect(end?.attributes).toMatchObject({ "flowspan.connect.refused": 23, "flowspan.finding.intervals": 1 });
});

test("a listener's finding has its queue, its own count and the namespace's as second witness", () => {
  const lab = new FindingLab();
  lab.play();

  const [record] = lab.play({
    grow: { [LISTENER]: { listenerDrops: 23 } },
    waiting: { open: 129, limit: 128 },
    books: { listenOverflows: 23, listenDrops: 29 },
  });

  expect(record).toEqual({
    eventName: "flowspan.finding.listen_queue_overflow",
    timeUnixNs: lab.kernel.nowNs + lab.kernel.wallOffsetNs,
    severity: "error",
    body: expect.stringContaining("An accept queue is full"),
    resource: { id: "cart", attributes: expect.anything() },
    attributes: {
      "flowspan.finding.state": "start",
      "flowspan.finding.id": expect.stringMatching(/^[0-9a-f]{16}$/),
      "flowspan.finding.value": 23,
      "flowspan.finding.threshold": 1,
      "flowspan.finding.intervals": 1,
      "server.port": 8080,
      "flowspan.listener.drops": 23,
      "flowspan.listener.queue.length": 129,
      "flowspan.listener.queue.limit": 128,
      "flowspan.kernel.listen_overflows": 23,
      "flowspan.kernel.listen_drops": 29,
    },
  });
});

test("a namespace's finding is about who lives in it, and about the node where nobody is known", () => {
  const lab = new FindingLab();
  lab.play();

  const [ofNode] = lab.play({ books: { rcvPruned: 1 } });
  lab.play();
  lab.play();
  lab.play();
  const [ofPod] = lab.play({ grow: { [CLIENT]: { opened: 1 } }, books: { rcvPruned: 1 } });

  expect(ofNode?.resource.id).toBe(NODE.id);
  expect(ofPod?.resource.id).not.toBe(NODE.id);
  expect(ofPod?.attributes["flowspan.netns"]).toBe(NETNS);
});
