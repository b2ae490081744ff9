/**
 * Random programs. A program is a few lives, shuffled into each other: each life is one or a few connections on a port
 * of its own, with what befalls them. The same seed and features give the same program.
 *
 * Nothing here knows what is right: the oracle goes by what the calls answered.
 */
import { abandoned, exhausted, refused } from "./lives/attempts.ts";
import { connection } from "./lives/connection.ts";
import { type Context, FEATURES, type Feature, type Life } from "./lives/life.ts";
import { backlog, fastOpen, sharedPort } from "./lives/listeners.ts";
import { relistened, reused } from "./lives/reuse.ts";
import { filtered, lossy } from "./lives/rules.ts";
import { BARRIER, type Program, Random } from "./program.ts";

const FIRST_PORT = 8000;

export function generate(seed: number, features: ReadonlySet<Feature> = new Set(FEATURES)): Program {
  const random = new Random(seed);
  let slots = 0;
  let ports = FIRST_PORT;
  const context: Context = {
    random,
    has: (feature) => features.has(feature),
    slot: () => slots++,
    port: () => ports++,
  };
  const lives = Array.from({ length: random.between(1, 4) }, () => life(context));
  // What narrows the range of ports would make connections of other lives meet at the same two ends.
  const alone = lives.find((lines) => lines.some((line) => line.includes("ip_local_port_range")));
  const body = alone ?? shuffled(random, lives);
  const program = features.has("barrier") ? insert(random, body, BARRIER) : body;
  const whole = [...machine(random), ...program];
  return features.has("barrier") ? insert(random, whole, BARRIER, whole.indexOf(BARRIER) + 1) : whole;
}

/** Timers short enough that no program waits for long, and the device's size. */
function machine(random: Random): string[] {
  return [
    ". sysctl net/ipv4/tcp_fin_timeout 1",
    ". sysctl net/ipv4/tcp_orphan_retries 2",
    ". sysctl net/ipv4/tcp_retries2 4",
    ". sysctl net/ipv4/tcp_syn_retries 1",
    `. sysctl net/ipv4/tcp_rto_min_us ${random.pick([20_000, 40_000, 200_000])}`,
    ...(random.chance(0.4) ? [`. mtu ${random.pick([1500, 9000])}`] : []),
    ...(random.chance(0.1) ? [". sysctl net/ipv4/tcp_timestamps 0"] : []),
    ...(random.chance(0.1) ? [". sysctl net/ipv4/tcp_sack 0"] : []),
    ...(random.chance(0.1) ? [". sysctl net/ipv4/tcp_early_retrans 0"] : []),
  ];
}

/** The order within each life stays. */
function shuffled(random: Random, lives: readonly (readonly string[])[]): string[] {
  const left = lives.map((lines) => [...lines]);
  const program: string[] = [];
  for (;;) {
    const alive = left.filter((lines) => lines.length > 0);
    if (alive.length === 0) return program;
    const chosen = random.pick(alive);
    for (let run = random.between(1, 6); run > 0 && chosen.length > 0; run--) program.push(chosen.shift() as string);
  }
}

function insert(random: Random, lines: readonly string[], line: string, from = 0): string[] {
  const at = random.between(from, lines.length);
  return [...lines.slice(0, at), line, ...lines.slice(at)];
}

const LIVES: readonly (readonly [Feature, number, Life])[] = [
  ["traffic", 8, (context) => connection(context)],
  ["refused", 2, refused],
  ["abandoned", 2, abandoned],
  ["backlog", 2, backlog],
  ["filter", 2, filtered],
  ["loss", 2, lossy],
  ["ports", 1, exhausted],
  ["reuse", 2, reused],
  ["relisten", 1, relistened],
  ["reuseport", 1, sharedPort],
  ["mptcp", 1, (context) => connection(context, { mptcp: true })],
  ["fastopen", 1, fastOpen],
  ["churn", 1, () => [". churn"]],
];

function life(context: Context): string[] {
  const allowed = LIVES.filter(([feature]) => context.has(feature));
  let left = context.random.next() * allowed.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [, weight, make] of allowed) {
    left -= weight;
    if (left < 0) return make(context);
  }
  return connection(context);
}
