/**
 * A cluster whose faults are known → what its ends would count: three nodes of four pods, traffic between nodes, and places at which a
 * share of the segments is lost. What seed gives what is the same on every machine.
 */
import type { Observation } from "../../../agent/findings/place-model.ts";
import { Random } from "../../torture/program.ts";

export interface TroubledCluster {
  /** The names of the places that lose segments. */
  readonly faulty: ReadonlySet<string>;
  readonly observations: readonly Observation[];
}

export interface Trouble {
  /** Faulty places. */
  readonly faults: number;
  /** The share of segments that each loses. */
  readonly loss: number;
  /** Segments in all. */
  readonly segments: number;
  /** The share of all traffic that one pair of pods has; 0: all pairs have about the same. */
  readonly skew: number;
}

const NODES = 3;
const PODS_A_NODE = 4;
/** How often a lost segment is counted once more: its resend is lost, or two are sent for it. */
const TWICE = 0.3;
/** How often a pair resends a segment for no fault at all. */
const STRAY = 0.02;

interface Pair {
  readonly sender: Pod;
  readonly receiver: Pod;
  readonly weight: number;
}

interface Pod {
  readonly name: string;
  readonly node: string;
}

export function troubledCluster(seed: number, { faults, loss, segments, skew }: Trouble): TroubledCluster {
  const random = new Random(seed);
  const chance = () => random.next();
  const pods = Array.from(
    { length: NODES * PODS_A_NODE },
    (_, i): Pod => ({ name: `pod:${i}`, node: `node:${Math.floor(i / PODS_A_NODE)}` }),
  );
  const pairs = pods.flatMap((sender) =>
    pods
      .filter((receiver) => receiver.node !== sender.node && random.chance(0.5))
      .map((receiver): Pair => ({ sender, receiver, weight: 0.5 + chance() })),
  );
  const busiest = random.between(0, pairs.length - 1);
  const all = pairs.reduce((sum, { weight }) => sum + weight, 0);
  const faulty = new Set<string>();
  while (faulty.size < faults) {
    // Faults on the busiest pair's way hide best.
    const pair = skew > 0 && random.chance(0.5) ? (pairs[busiest] as Pair) : random.pick(pairs);
    faulty.add(random.pick(placesOf(pair)));
  }
  const observations = pairs.map((pair, i): Observation => {
    const places = placesOf(pair);
    const share = (i === busiest ? skew : 0) + ((1 - skew) * pair.weight) / all;
    const trials = Math.round(segments * share);
    const kept = places.reduce((sum, place) => sum * (faulty.has(place) ? 1 - loss : 1), 1);
    const lost = poisson(trials * (1 - kept), chance) + (random.chance(STRAY) ? 1 : 0);
    const again = Array.from({ length: lost }, chance).filter((each) => each < TWICE).length;
    return { places, trials, bad: lost + again };
  });
  return { faulty, observations };
}

function placesOf({ sender, receiver }: Pair): string[] {
  return [sender.name, sender.node, `pair:${sender.node}>${receiver.node}`, receiver.node, receiver.name];
}

/** How many of many rare events happen: the waits between them are exponential. */
function poisson(mean: number, chance: () => number): number {
  let events = 0;
  let time = 0;
  for (;;) {
    time -= Math.log(1 - chance());
    if (time >= mean) return events;
    events++;
  }
}
