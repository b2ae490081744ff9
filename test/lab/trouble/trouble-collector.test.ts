/**
 * Exact through a Collector that is away, refuses, is slow or whose answers get lost: what it did not accept
 * stays in the kernel, what it accepted without our knowing is said again and counts once.
 */
import { status } from "@grpc/grpc-js";
import { needs } from "../../machine/needs.ts";
import type { Behaviour } from "../../otlp/receiver.ts";
import { ReturningReceiver } from "../agents/returning-receiver.ts";
import { A_WHILE, exactThrough, INTERVAL_MS, type Options, type Scene, TIMEOUT_MS } from "../agents/trouble.ts";

const test = needs("root", "btf", "cgroup2", "build");
/** Calls that take many intervals. */
const LONG = 5 * A_WHILE;
/** An answer that takes longer than this counts as lost. */
const TIMEOUT = { OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: String(2 * INTERVAL_MS) };
const DELTA = { OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta" };

interface Trouble {
  readonly name: string;
  readonly behaviour: Behaviour;
  readonly env?: Readonly<Record<string, string>>;
}

const TROUBLES: readonly Trouble[] = [
  { name: "refuses for many intervals (UNAVAILABLE)", behaviour: { refuse: status.UNAVAILABLE } },
  { name: "refuses and asks not to try again (RESOURCE_EXHAUSTED)", behaviour: { refuse: status.RESOURCE_EXHAUSTED } },
  { name: "answers later than several intervals", behaviour: { delayMs: 4 * INTERVAL_MS } },
  { name: "takes requests in when they have been given up", behaviour: { delayMs: 3 * INTERVAL_MS }, env: TIMEOUT },
  { name: "keeps every request and never answers", behaviour: { dropAnswer: true }, env: TIMEOUT },
  { name: "keeps every request and is said to have failed", behaviour: { denyAccepted: status.UNAVAILABLE } },
  {
    name: "keeps every delta and is said to have failed",
    behaviour: { denyAccepted: status.UNAVAILABLE },
    env: DELTA,
  },
];

for (const { name, behaviour, env = {} } of TROUBLES) {
  test(
    `sums stay exact while the Collector ${name}`,
    () => exact((scene) => misbehave(scene, behaviour), { env }),
    TIMEOUT_MS,
  );
}

test(
  "sums stay exact when the Collector is away for many intervals and comes back",
  () =>
    exact(async (scene) => {
      await scene.collector.leave();
      await scene.traffic.more(LONG);
      await scene.collector.comeBack();
      await scene.collector.keptFromEach();
    }),
  TIMEOUT_MS,
);

test(
  "sums stay exact when agents and probes die while the Collector is away",
  () =>
    exact(async (scene) => {
      await scene.collector.leave();
      await scene.traffic.more(A_WHILE);
      await scene.kill("agent", "probe");
      await scene.traffic.burst();
      await scene.startProbes();
      await scene.startAgents();
      await scene.traffic.more(A_WHILE);
      await scene.collector.comeBack();
      await scene.collector.keptFromEach();
    }),
  TIMEOUT_MS,
);

async function exact(trouble: (scene: Scene<ReturningReceiver>) => Promise<void>, options?: Options): Promise<void> {
  await exactThrough(await ReturningReceiver.start(), trouble, options);
}

/** For many intervals, with edges that rest and wake up in between. */
async function misbehave(scene: Scene<ReturningReceiver>, behaviour: Behaviour): Promise<void> {
  scene.collector.behaviour = behaviour;
  await scene.traffic.more(LONG / 2);
  await scene.traffic.burst();
  await scene.traffic.more(LONG / 2);
  scene.collector.behaviour = {};
  await scene.collector.keptFromEach();
}
