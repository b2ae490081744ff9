/** What random histories found wrong with their judge, and what it must find all the same. */
import { expect, test } from "vitest";
import { type History, play } from "../../histories/history.ts";
import { Judge } from "../../histories/judge.ts";
import { type Chunk, type Grown, Machine } from "../../histories/machine.ts";
import { told } from "../../histories/report.ts";
import { Timeline } from "../../histories/timeline.ts";
import { World } from "../../histories/world.ts";
import { START_MS } from "../naming/cluster-builders.ts";

const ADDRESS = "10.1.0.4";
const CART_2 = { kind: "pod", name: "cart", podName: "cart-2" };
const CART_3 = { ...CART_2, podName: "cart-3" };

const POD = { waitMs: 0, what: "pod", workload: "cart", startMs: 500, lateMs: 0, shares: false } as const;
const BYTE = { what: "talk", bytes: 1 } as const;

test("growth keeps the name it was sent under, also where later growth of that name joins it before a Collector takes it", () => {
  const history: History = {
    intervalMs: 1_000,
    lag: 0,
    steps: [
      { ...POD, at: 2 },
      { waitMs: 0, what: "collector", forMs: 1_999 },
      { ...POD, at: 2, lateMs: 298, shares: true },
      { ...BYTE, waitMs: 499, to: 2, edge: 1 },
      { waitMs: 0, what: "end", which: 3, lateMs: 297 },
      { ...BYTE, waitMs: 1_432, to: 0, edge: 0 },
      { ...BYTE, waitMs: 63, to: 2, edge: 1 },
      { ...POD, at: 0 },
      { ...POD, at: 0 },
    ],
  };

  expect(play(history).wrong.map(told)).toEqual([]);
});

test("a pod that is told to end before another shares its address has lost it to that one, also where that ends first", () => {
  const history: History = {
    intervalMs: 15_000,
    lag: 0,
    steps: [
      { ...POD, waitMs: 34_227, at: 0 },
      { ...POD, waitMs: 2_285, at: 2 },
      { ...POD, waitMs: 28_726, at: 0 },
      { ...POD, waitMs: 43_237, workload: "job", at: 2, startMs: 1_555, lateMs: 5_721, shares: true },
      { waitMs: 3_086, what: "end", which: 2, lateMs: 1_464 },
      { waitMs: 3_019, what: "delete", which: 4, graceMs: 6_405, lateMs: 8_812 },
      { waitMs: 3_141, what: "end", which: 3, lateMs: 154 },
      { ...BYTE, waitMs: 2_862, to: 2, edge: 2, bytes: 477 },
    ],
  };

  expect(play(history).wrong.map(told)).toEqual([]);
});

test("an end that the directory was told just before an exchange, and the agent just after it, is unseen in that", () => {
  const history: History = {
    intervalMs: 15_000,
    lag: 0,
    steps: [
      { waitMs: 1_442, what: "select", workload: "cart", lateMs: 0 },
      { ...POD, waitMs: 7_274, at: 0 },
      { ...POD, waitMs: 22_348, at: 1 },
      { ...POD, waitMs: 95_842, at: 0 },
      { ...BYTE, waitMs: 2_119, to: 1, edge: 0 },
      { waitMs: 29_545, what: "node" },
      { waitMs: 2_627, what: "end", which: 1, lateMs: 3_604 },
      { ...POD, waitMs: 389, at: 1, lateMs: 2_571 },
      { waitMs: 498, what: "delete", which: 0, graceMs: 0, lateMs: 0 },
      { ...BYTE, waitMs: 0, to: 1, edge: 0 },
    ],
  };

  expect(play(history).wrong.map(told)).toEqual([]);
});

test("a pod of an address that its agent forgot, and that ended while it heard nothing, is a pod that it was never told of", () => {
  const history: History = {
    intervalMs: 15_000,
    lag: 0,
    steps: [
      { ...POD, waitMs: 1, at: 0 },
      { ...BYTE, waitMs: 499, to: 0, edge: 0 },
      { waitMs: 128_985, what: "link", forMs: 10_504 },
      { waitMs: 4_679, what: "delete", which: 0, graceMs: 900, lateMs: 0 },
      { ...BYTE, waitMs: 832, to: 0, edge: 2 },
      { waitMs: 125, what: "replica" },
    ],
  };

  expect(play(history).wrong.map(told)).toEqual([]);
});

test("only growth that was there when a name was sent may keep it", () => {
  const { judge, chunk, never } = sentBeforeBothAreTold();
  const [first, second] = chunk.grown as [Grown, Grown];

  expect(chunk).toMatchObject({
    told: CART_2,
    grown: [{ tenant: { name: "cart-3" } }, { tenant: { name: "cart-2" } }],
  });
  expect([judge.judge(first, chunk), judge.judge(second, chunk)]).toEqual([undefined, undefined]);
  expect(judge.judge(second, { ...chunk, told: CART_3 })).toBe("a wrong name");
  expect(judge.judge(first, { ...chunk, machine: never })).toBe("a wrong name");
});

/**
 * Two pods share an address. The second one's growth is sent before that one is told, and no Collector takes it; then
 * it is told, with its end, and the first one's growth joins.
 */
function sentBeforeBothAreTold() {
  const timeline = new Timeline(START_MS);
  const chunks: Chunk[] = [];
  const machines: Machine[] = [];
  const world = new World(timeline, () => {
    for (const machine of machines) machine.written();
  });
  const makeMachine = () =>
    new Machine(
      "watch",
      world,
      timeline,
      () => 0,
      (chunk) => chunks.push(chunk),
    );
  // `never` makes no exchange: it has sent nothing that was not taken.
  const [machine, never] = [makeMachine(), makeMachine()];
  machines.push(machine, never);
  const grow = () => {
    const tenant = world.tenantsAt(ADDRESS).at(-1) as Grown["tenant"];
    machine.grow(`client 10.2.0.1>${ADDRESS}:80`, { atMs: timeline.nowMs, bytes: 1, address: ADDRESS, tenant });
  };
  const exchangeAt = (ms: number) => {
    timeline.runUntil(START_MS + ms);
    machine.exchange();
  };

  world.startPod("cart", ADDRESS, 500, 0, false);
  world.startPod("cart", ADDRESS, 500, 800, true);
  timeline.runUntil(START_MS + 600);
  grow();
  timeline.runUntil(START_MS + 700);
  world.endPod(1, 700);
  machine.collectorAnswers = false;
  exchangeAt(1_000.5);
  exchangeAt(2_000.5);
  machine.collectorAnswers = true;
  timeline.runUntil(START_MS + 2_500);
  grow();
  exchangeAt(3_000.5);
  return { judge: new Judge(world), chunk: chunks[0] as Chunk, never };
}
