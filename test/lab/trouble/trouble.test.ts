/**
 * Exact through the death and the exchange of our own processes: whatever dies, the sums that the Collector
 * holds equal the workload's own counts.
 */
import { status } from "@grpc/grpc-js";
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { ReturningReceiver } from "../agents/returning-receiver.ts";
import { A_WHILE, endings, exactThrough, type Options, type Scene, TIMEOUT_MS } from "../agents/trouble.ts";

const test = needs("root", "btf", "cgroup2", "build");
/** How often a process dies in one test, each time at another point of its interval. */
const DEATHS = 2;

test(
  "sums stay exact when agents are killed and start again",
  async () => {
    await exact(async (scene) => {
      for (let death = 0; death < DEATHS; death++) {
        await scene.kill("agent");
        await scene.traffic.more(A_WHILE);
        await scene.startAgents();
        await scene.traffic.more(A_WHILE + 7 * death);
      }
    });
  },
  TIMEOUT_MS,
);

for (const temporality of ["cumulative", "delta"]) {
  test(
    `${temporality} sums stay exact when agents are killed after the Collector kept a request and before it was settled`,
    async () => {
      const env = { OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: temporality };
      await exact(
        async (scene) => {
          for (let death = 0; death < DEATHS; death++) {
            await killInTheWindow(scene, "agent");
            await scene.startAgents();
            await scene.traffic.more(A_WHILE);
          }
        },
        { env },
      );
    },
    TIMEOUT_MS,
  );
}

test(
  "an edge that woke up in the exchange that was kept and not settled does not void its flow's earlier growth",
  async () => {
    await exact(async (scene) => {
      for (let death = 0; death < DEATHS; death++) {
        // Nothing is accepted from here on, so that the growth of the burst is part of the exchange that is kept.
        scene.collector.behaviour = { refuse: status.UNAVAILABLE };
        await scene.traffic.burst();
        await killInTheWindow(scene, "agent");
        await scene.startAgents();
        await scene.traffic.more(A_WHILE);
      }
    });
  },
  TIMEOUT_MS,
);

test(
  "sums stay exact when probes are killed and start again",
  async () => {
    await exact(async (scene) => {
      for (let death = 0; death < DEATHS; death++) {
        await scene.kill("probe");
        await scene.traffic.more(A_WHILE);
        await scene.startProbes();
        await scene.traffic.more(A_WHILE + 7 * death);
      }
    });
  },
  TIMEOUT_MS,
);

test(
  "what the Collector accepts while the probe is dead is settled with the next probe",
  async () => {
    await exact(async (scene) => {
      for (let death = 0; death < DEATHS; death++) {
        const { promise: probesAreDead, resolve } = Promise.withResolvers<void>();
        scene.collector.behaviour = { answerAfter: probesAreDead };
        await scene.collector.keptFromEach();
        scene.collector.behaviour = {};
        await scene.kill("probe");
        resolve();
        await scene.traffic.more(A_WHILE);
        await scene.startProbes();
        await scene.traffic.more(A_WHILE);
      }
    });
  },
  TIMEOUT_MS,
);

test(
  "sums stay exact when probes and agents are killed at once, also between keeping and settling",
  async () => {
    await exact(async (scene) => {
      for (let death = 0; death < DEATHS; death++) {
        if (death % 2 === 0) await killInTheWindow(scene, "agent", "probe");
        else await scene.kill("agent", "probe");
        await scene.traffic.more(A_WHILE);
        await scene.startProbes();
        await scene.startAgents();
        await scene.traffic.more(A_WHILE);
      }
    });
  },
  TIMEOUT_MS,
);

test(
  "sums stay exact when new probes take over the pins, and each old one ends with 0",
  async () => {
    await exact(async (scene) => {
      for (let upgrade = 0; upgrade < DEATHS; upgrade++) {
        await scene.startProbes();
        await scene.traffic.more(A_WHILE);
      }
      const replaced = scene.agents.flatMap(({ probes }) => probes.slice(0, -1));
      const codes = await Promise.all(replaced.map(async ({ ended }) => (await ended).code));
      expect(codes).toEqual(replaced.map(() => 0));
    });
  },
  TIMEOUT_MS,
);

test(
  "SIGTERM sends the last exchange: totals are complete without another agent or another interval",
  async () => {
    // No other exchange than the first, at the start, and the last.
    await exact(async () => undefined, { intervalMs: 600_000, endsWaiting: false });
  },
  TIMEOUT_MS,
);

test(
  "sums stay exact when agents end by SIGTERM and start again",
  async () => {
    await exact(async (scene) => {
      for (let turn = 0; turn < DEATHS; turn++) {
        expect(await endings(scene.agents.map(({ agent }) => agent))).toEqual([0, 0]);
        await scene.traffic.burst();
        await scene.startAgents();
        await scene.traffic.more(A_WHILE);
      }
    });
  },
  TIMEOUT_MS,
);

async function exact(trouble: (scene: Scene<ReturningReceiver>) => Promise<void>, options?: Options): Promise<void> {
  await exactThrough(await ReturningReceiver.start(), trouble, options);
}

/** Kills when the Collector has kept the growth of each node and nobody of ours knows it. */
async function killInTheWindow(
  scene: Scene<ReturningReceiver>,
  ...kinds: readonly ("agent" | "probe")[]
): Promise<void> {
  scene.collector.behaviour = { dropAnswer: true };
  await scene.collector.keptFromEach();
  await scene.kill(...kinds);
  scene.collector.behaviour = {};
}
