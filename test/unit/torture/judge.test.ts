/** When a difference counts, and that a loss hides no other fault. */
import { expect, test } from "vitest";
import type { BatchResult } from "../../torture/batch.ts";
import type { Seen } from "../../torture/compare.ts";
import { type Bench, failuresOf, judge } from "../../torture/judge.ts";
import { PLAIN_CONNECTION } from "../../torture/plain.ts";
import type { Program } from "../../torture/program.ts";
import { changed, PLAIN_BOOKS, PLAIN_CALLS, PLAIN_TRACE, PLAIN_WIRE, plainSeen, traceOf } from "./traces.ts";

const NONE: ReadonlySet<string> = new Set();

/** The client's record did not come. */
function recordless(counters: object = {}): Seen {
  const { records, edges, namespace } = changed("client", {}, counters);
  return { edges, namespace, records: records.filter(({ key }) => key.role !== "client") };
}

function batch(seen: Seen, losses: Record<string, number> = {}, values: Partial<BatchResult> = {}): BatchResult {
  return { performed: [{ program: PLAIN_CONNECTION, trace: PLAIN_TRACE, seen }], losses, hidden: 0, ...values };
}

function saidOf(result: BatchResult): readonly string[] | undefined {
  return failuresOf(result, NONE)[0]?.differences;
}

test("an end without a record is a difference, and none where as many records were told as lost", () => {
  expect(saidOf(batch(recordless()))).toEqual([
    "record: client of 127.0.0.1/40000 → 127.0.0.1/8000 (line 5 to 11) has no record",
  ]);
  expect(saidOf(batch(recordless(), { agent_gone_records: 1 }))).toBeUndefined();
});

test("more losses than ends without a record, or fewer, are a difference", () => {
  expect(saidOf(batch(recordless(), { agent_gone_records: 2 }))).toEqual([
    "losses: 2 records are told as lost, 1 to 1 ends have none",
  ]);
  expect(saidOf(batch(plainSeen(), { records_full: 1 }))).toEqual([
    "losses: 1 records are told as lost, 0 to 0 ends have none",
  ]);
  expect(saidOf(batch(recordless(), { agent_gone_records: 2 }, { spare: 1 }))).toBeUndefined();
});

test("the edge of a lost record still has what the end counted", () => {
  const lost = { agent_gone_records: 1 };

  expect(saidOf(batch(recordless({ bytesSent: 1008 }), lost))).toEqual([
    "sums: client 8000: bytesSent of the edges is 1008, must be 1009",
  ]);
  expect(saidOf(batch(recordless({ closed: 2 }), lost))).toEqual([
    "sums: client 8000: closed of the edges is 2, must be 1",
  ]);
  expect(saidOf(batch(recordless({ segsIn: 5 }), lost))).toEqual([
    "sums: client 8000: segsIn of the edges is 5, must be 4",
  ]);
});

test("a socket that could not be restored, and whose record is lost, may have closed or not: nobody knows whether TCP_REPAIR was on", () => {
  const lost = { agent_gone_records: 1 };
  const calls = PLAIN_CALLS.replace("call 10 ", "call 13 a repair 1 7500 7600 1 0\ncall 10 ");
  const trace = traceOf(calls + PLAIN_WIRE + PLAIN_BOOKS);
  const saidAfterRepair = (closed: number) => {
    const performed = [{ program: [...PLAIN_CONNECTION, "a repair 1"], trace, seen: recordless({ closed }) }];
    return saidOf(batch(plainSeen(), lost, { performed }));
  };

  expect([saidAfterRepair(0), saidAfterRepair(1)]).toEqual([undefined, undefined]);
  expect(saidOf(batch(recordless({ closed: 0 }), lost))).toEqual([
    "sums: client 8000: closed of the edges is 0, must be 1",
  ]);
});

test("a loss that is no record's is every program's, unless the machine hid something", () => {
  expect(saidOf(batch(plainSeen(), { closed_untracked: 1 }))).toEqual(["losses: 1 closed_untracked, must be 0"]);
  expect(saidOf(batch(plainSeen(), { closed_untracked: 1 }, { hidden: 1 }))).toBeUndefined();
  // Of others' packets, too.
  expect(saidOf(batch(plainSeen(), { evidence_full_detail: 1 }))).toBeUndefined();
});

test("a net namespace that comes and goes may end while its books are read, each once", () => {
  const performed = [{ program: [...PLAIN_CONNECTION, ". churn"], trace: PLAIN_TRACE, seen: plainSeen() }];
  const saidOfUnreadable = (count: number) =>
    saidOf(batch(plainSeen(), { namespace_unreadable: count }, { performed }));

  expect(saidOfUnreadable(1)).toBeUndefined();
  expect(saidOfUnreadable(2)).toEqual(["losses: 2 namespace_unreadable, must be 0 to 1"]);
  expect(saidOf(batch(plainSeen(), { namespace_unreadable: 1 }))).toEqual([
    "losses: 1 namespace_unreadable, must be 0",
  ]);
});

const WRONG = changed("server", { segsIn: 7 }, { segsIn: 7 });

/** A bench that says what it is told to, round after round, the last for ever. */
function benchOf(...rounds: readonly BatchResult[]) {
  const asked: number[] = [];
  const bench: Bench<string> = {
    known: NONE,
    run: (programs: readonly Program[]) => {
      asked.push(programs.length);
      const round = rounds[asked.length - 1] ?? rounds.at(-1);
      return round ? Promise.resolve(round) : Promise.reject(new Error("no round"));
    },
  };
  return { bench, asked };
}

test("a difference counts at once where the machine hid nothing", async () => {
  const { bench, asked } = benchOf(batch(WRONG), batch(plainSeen()));

  expect(await judge(bench, [PLAIN_CONNECTION], "none")).toHaveLength(1);
  expect(asked).toEqual([1]);
});

test("a difference with something hidden is looked at again, and counts where nothing was hidden then", async () => {
  const hid = { hidden: 3 };

  const gone = benchOf(batch(WRONG, {}, hid), batch(plainSeen()));
  expect(await judge(gone.bench, [PLAIN_CONNECTION], "none")).toEqual([]);
  expect(gone.asked).toEqual([1, 1]);

  const there = benchOf(batch(WRONG, {}, hid), batch(WRONG));
  expect(await judge(there.bench, [PLAIN_CONNECTION], "none")).toHaveLength(1);
  expect(there.asked).toEqual([1, 1]);
});

test("what differs in every round counts although each has hidden something; what does not differ is not run again", async () => {
  const always = benchOf(batch(WRONG, {}, { hidden: 1 }));
  expect(await judge(always.bench, [PLAIN_CONNECTION], "none")).toHaveLength(1);
  expect(always.asked).toEqual([1, 1, 1, 1]);

  const sound = benchOf(batch(plainSeen(), {}, { hidden: 1 }));
  expect(await judge(sound.bench, [PLAIN_CONNECTION], "none")).toEqual([]);
  expect(sound.asked).toEqual([1]);
});

test("a loss that says what records lack is as many as records that lack it", () => {
  const nameless = changed("server", { pid: 0 });
  const untimed = changed("client", { handshakeUs: 0 }, { handshakeUs: 0 });

  expect(saidOf(batch(nameless, { process_unknown_detail: 1 }))).toBeUndefined();
  expect(saidOf(batch(nameless))).toEqual(["losses: 0 process_unknown_detail, must be 1"]);
  expect(saidOf(batch(plainSeen(), { process_unknown_detail: 1 }))).toEqual([
    "losses: 1 process_unknown_detail, must be 0",
  ]);
  expect(saidOf(batch(untimed, { handshake_untimed_detail: 1 }))).toBeUndefined();
  expect(saidOf(batch(untimed))).toEqual(["losses: 0 handshake_untimed_detail, must be 1"]);
});

test("a program without a barrier, of whose part under the probe nobody knows, is a difference", () => {
  const { performed } = batch(plainSeen());
  const phases = performed.map((each) => ({ ...each, phases: [] }));

  expect(saidOf(batch(plainSeen(), {}, { performed: phases }))).toEqual(["barrier: the program has none"]);
});
