/**
 * Places that agents of several nodes have named → the fewest places of the cluster that explain all of them. Pure.
 *
 * Each agent sees what its own ends send: a peer's node stands for the link to it, too. What several agents say together tells the two
 * apart. Where several sets of places are as good, only what they have in common is known.
 */

/** What one agent's finding says: every place that it may be, as `flowspan.finding.place*` has them. */
export interface Seen {
  /** The agent's node. */
  readonly node: string;
  /** `peer_node node-2`, `local_pod default/cart`, … */
  readonly candidates: readonly string[];
}

export interface Joined {
  /** `node node-2`, `link node-1 node-2`, `pod default/cart`, … */
  readonly places: readonly string[];
  /** What it may be besides: other sets that explain as much. */
  readonly undecided: readonly string[];
}

const MOST = 4;

export function joinPlaces(seen: readonly Seen[]): Joined {
  const choices = seen.map(
    (each) => new Set(each.candidates.flatMap((candidate) => clusterPlaces(each.node, candidate))),
  );
  const names = [...new Set(choices.flatMap((each) => [...each]))];
  for (let size = 0; size <= MOST; size++) {
    const sets = subsets(names, size).filter((set) => choices.every((each) => set.some((name) => each.has(name))));
    if (sets.length === 0) continue;
    const prices = sets.map((set) => set.reduce((sum, name) => sum + priceOf(name, seen), 0));
    const best = sets.filter((_, i) => prices[i] === Math.min(...prices));
    const places = names.filter((name) => best.every((set) => set.includes(name)));
    return { places, undecided: [...new Set(best.flat())].filter((name) => !places.includes(name)) };
  }
  return { places: [], undecided: names };
}

/** One that says nothing at all of a cluster's place stays itself. */
function clusterPlaces(node: string, candidate: string): string[] {
  const [kind, ...rest] = candidate.split(" ");
  const name = rest.join(" ");
  switch (kind) {
    case "local_node":
      return [`node ${name}`];
    case "peer_node":
      return [`node ${name}`, linkOf(node, name)];
    case "local_pod":
    case "peer_pod":
      return [`pod ${name}`];
    case "pair":
      return [`pair ${name.split(" > ").toSorted().join(" ")}`];
    default:
      return [candidate];
  }
}

/** A node that is at fault hurts all that talk to it, a link those at its two ends. */
function priceOf(name: string, seen: readonly Seen[]): number {
  const [kind, a = "", b = ""] = name.split(" ");
  const says = (node: string, candidate: string) =>
    seen.some((each) => each.node === node && each.candidates.includes(candidate));
  if (kind === "link") return says(a, `peer_node ${b}`) && says(b, `peer_node ${a}`) ? 0 : 1;
  if (kind !== "node") return 0;
  const others = new Set(
    seen.filter(({ candidates }) => candidates.includes(`peer_node ${a}`)).map(({ node }) => node),
  );
  if (others.size > 1) return 0;
  return others.size === 0 && says(a, `local_node ${a}`) ? 0 : 2;
}

export function linkOf(a: string, b: string): string {
  return `link ${[a, b].toSorted().join(" ")}`;
}

function subsets(names: readonly string[], size: number): string[][] {
  if (size === 0) return [[]];
  return names.flatMap((name, i) => subsets(names.slice(i + 1), size - 1).map((rest) => [name, ...rest]));
}
