/** The agent's own metrics: read back through the SDK, compared whole. */
import { expect, test } from "vitest";
import { LOSS_NAMES } from "../../../agent/generated/layout.ts";
import type { Exchange, ProbeStatus, ProgramStats } from "../../../agent/model/probe-event.ts";
import type { RequestResult } from "../../../agent/otlp/flow-exporter.ts";
import { measureSelf } from "../../../agent/telemetry/agent-metrics.ts";
import { SelfState } from "../../../agent/telemetry/agent-state.ts";
import { createLosses } from "../../../agent/telemetry/losses.ts";
import { selfAttributes } from "../../../agent/telemetry/provider.ts";
import { collectOnce } from "./collected.ts";

const RESOURCE = selfAttributes({
  name: "flowspan",
  version: "1.2.3",
  instanceId: "8d0ef3c2",
  hostName: "node-7",
  nodeName: "node-7.example",
  process: { pid: 4711, createdMs: Date.UTC(2026, 10, 29, 23, 29, 31, 101) },
  configured: { "deployment.environment.name": "test" },
});

const NO_LOSSES = Object.fromEntries(LOSS_NAMES.map((name) => [name, 0]));

function status(values: Partial<ProbeStatus> = {}): ProbeStatus {
  return {
    losses: NO_LOSSES,
    edges: 23,
    edgeCapacity: 65_536,
    evicted: 5,
    cgroups: 7,
    records: 11,
    probeCpuUs: 1_500_000,
    probeRssBytes: 4_194_304,
    adopted: 13,
    tenantEdges: 17,
    tenantLimit: 65_513,
    memoryCharged: 30_000_007,
    memoryLimit: 134_217_728,
    ...values,
  };
}

function exchangeEnd(values: Partial<Exchange> = {}): Exchange {
  return { exchange: 1n, bootNs: 1n, realtimeNs: 1n, walkNs: 250_000_000n, sockets: 101, edges: 23, ...values };
}

function program(values: Partial<ProgramStats> = {}): ProgramStats {
  return { name: "inet_sock_set_s", runs: 1000, runTimeNs: 2_000_000, recursionMisses: 3, ...values };
}

function result(values: Partial<RequestResult>): RequestResult {
  const outcome = { state: "accepted", rejectedPoints: 0, message: "" } as const;
  return { flows: [], points: 0, bytes: 0, durationMs: 0, outcome, ...values };
}

function collect(state: SelfState, act: () => void) {
  return collectOnce((reader) => measureSelf(state, RESOURCE, reader), act);
}

test("an agent that has done one exchange reports itself, its probe and its exports", async () => {
  const state = new SelfState(createLosses());

  const { resource, points } = await collect(state, () => {
    state.addExchange({ status: status(), programs: [program()], end: exchangeEnd() }, 0.5);
    state.exchangeAgeMs = () => 23_500;
    state.probeTroubles = () => ["pins"];
    state.addRequest(result({ points: 190, bytes: 40_000, durationMs: 20 }));
    state.addRequest(
      result({
        points: 10,
        bytes: 2000,
        durationMs: 1000,
        outcome: { state: "failed", reason: "UNAVAILABLE", retryable: true, retryAfterMs: undefined },
      }),
    );
  });

  expect(resource).toEqual({
    "service.name": "flowspan",
    "service.version": "1.2.3",
    "service.instance.id": "8d0ef3c2",
    "host.name": "node-7",
    "k8s.node.name": "node-7.example",
    "process.pid": 4711,
    "process.creation.time": "2026-11-29T23:29:31.101Z",
    "deployment.environment.name": "test",
  });
  const failed = { "error.type": "UNAVAILABLE" };
  const name = { "flowspan.bpf.program.name": "inet_sock_set_s" };
  expect(points).toEqual({
    "process.cpu.time": [
      [{ "cpu.mode": "user" }, expect.any(Number)],
      [{ "cpu.mode": "system" }, expect.any(Number)],
    ],
    "process.memory.usage": [[{}, expect.any(Number)]],
    "flowspan.probe.cpu.time": [[{}, 1.5]],
    "flowspan.probe.memory.usage": [[{}, 4_194_304]],
    // 44 MiB besides, 2,057 bytes for each of 23 edges, 464 for each of 101 sockets.
    "flowspan.probe.memory.needed": [[{}, 44 * 2 ** 20 + 23 * 2057 + 101 * 464]],
    "flowspan.probe.memory.charged": [[{}, 30_000_007]],
    "flowspan.probe.memory.limit": [[{}, 134_217_728]],
    "flowspan.probe.records": [[{}, 11]],
    "flowspan.probe.sockets.adopted": [[{}, 13]],
    "flowspan.probe.troubles": [
      [{ "flowspan.probe.trouble": "pins" }, 1],
      [{ "flowspan.probe.trouble": "hooks" }, 0],
      [{ "flowspan.probe.trouble": "filter" }, 0],
    ],
    "flowspan.bpf.program.run.time": [[name, 0.002]],
    "flowspan.bpf.program.runs": [[name, 1000]],
    "flowspan.bpf.program.recursion_misses": [[name, 3]],
    "flowspan.edges.usage": [[{}, 23]],
    "flowspan.edges.limit": [[{}, 65_536]],
    "flowspan.edges.tenant.usage": [[{}, 17]],
    "flowspan.edges.tenant.limit": [[{}, 65_513]],
    "flowspan.edges.evicted": [[{}, 5]],
    "flowspan.cgroups.usage": [[{}, 7]],
    "flowspan.losses": LOSS_NAMES.map((reason) => [{ "flowspan.loss.reason": reason }, 0]),
    "flowspan.export.requests": [
      [{}, 1],
      [failed, 1],
    ],
    "flowspan.export.points": [
      [{}, 190],
      [failed, 10],
    ],
    "flowspan.export.points.rejected": [[{}, 0]],
    "flowspan.export.io": [[{}, 42_000]],
    "flowspan.export.duration": [
      [{}, { count: 1, sum: 0.02 }],
      [failed, { count: 1, sum: 1 }],
    ],
    "flowspan.exchange.age": [[{}, 23.5]],
    "flowspan.exchange.duration": [[{}, { count: 1, sum: 0.5 }]],
    "flowspan.walk.duration": [[{}, { count: 1, sum: 0.25 }]],
    "flowspan.walk.sockets": [[{}, 101]],
  });
});

test("before the first exchange nothing is said about the probe", async () => {
  const { points } = await collect(new SelfState(createLosses()), () => {});

  const said = Object.keys(points).filter((name) => points[name].length > 0);
  expect(said).toEqual([
    "process.cpu.time",
    "process.memory.usage",
    "flowspan.export.points.rejected",
    "flowspan.export.io",
  ]);
});

test("a probe that knows sockets by their addresses needs less memory for each, and more for its tables", async () => {
  const state = new SelfState(createLosses());
  state.socketStorage = () => "by address";

  const { points } = await collect(state, () => {
    state.addExchange({ status: status(), programs: [], end: exchangeEnd() }, 0.5);
  });

  expect(points["flowspan.probe.memory.needed"]).toEqual([[{}, 58 * 2 ** 20 + 23 * 2057 + 101 * 264]]);
});

test("a probe that does not know its cgroup's memory says nothing of it, and one without a limit no limit", async () => {
  const read = async (values: Partial<ProbeStatus>) => {
    const state = new SelfState(createLosses());
    const { points } = await collect(state, () =>
      state.addExchange({ status: status(values), programs: [], end: exchangeEnd() }, 0.1),
    );
    return [points["flowspan.probe.memory.charged"], points["flowspan.probe.memory.limit"]];
  };

  expect(await read({ memoryCharged: 0, memoryLimit: 0 })).toEqual([undefined, undefined]);
  expect(await read({ memoryLimit: 0 })).toEqual([[[{}, 30_000_007]], undefined]);
});

test("losses of the kernel and of the agent are one metric by name", async () => {
  const losses = createLosses();
  const state = new SelfState(losses);

  const { points } = await collect(state, () => {
    state.addExchange(
      { status: status({ losses: { ...NO_LOSSES, storage_failed: 23 } }), programs: [], end: exchangeEnd() },
      0.1,
    );
    state.addRequest(result({ outcome: { state: "accepted", rejectedPoints: 7, message: "too old" } }));
    losses.lose("frame_unusable");
  });

  const lost = points["flowspan.losses"].filter(([, count]: [object, number]) => count > 0);
  expect(lost).toEqual([
    [{ "flowspan.loss.reason": "storage_failed" }, 23],
    [{ "flowspan.loss.reason": "points_rejected" }, 7],
    [{ "flowspan.loss.reason": "frame_unusable" }, 1],
  ]);
});

test("coverage is said of each namespace for which it is known", async () => {
  const state = new SelfState(createLosses());
  state.coverage = () => [
    { netns: 4026531840, segments: 0.999, connections: 1 },
    { netns: 4026532001, segments: 0.5, connections: undefined },
  ];

  const { points } = await collect(state, () => {});

  expect({
    segments: points["flowspan.coverage.segments"],
    connections: points["flowspan.coverage.connections"],
  }).toEqual({
    segments: [
      [{ "flowspan.netns": 4026531840 }, 0.999],
      [{ "flowspan.netns": 4026532001 }, 0.5],
    ],
    connections: [[{ "flowspan.netns": 4026531840 }, 1]],
  });
});

test("each feed of names says its age, its objects, its lists, and why connections ended", async () => {
  const state = new SelfState(createLosses());
  state.metadata = () => [
    {
      ...{ name: "pods", synced: true, idleMs: 23, trouble: undefined },
      ...{ ageMs: 2_300, objects: 101, lists: 2, ends: 7, failures: { gone: 1, refused: 3 } },
    },
  ];

  const { points } = await collect(state, () => {});

  const feed = { "flowspan.metadata.feed": "pods" };
  expect({
    age: points["flowspan.metadata.age"],
    objects: points["flowspan.metadata.objects"],
    lists: points["flowspan.metadata.lists"],
    reconnects: points["flowspan.metadata.reconnects"],
  }).toEqual({
    age: [[feed, 2.3]],
    objects: [[feed, 101]],
    lists: [[feed, 2]],
    reconnects: [
      [feed, 7],
      [{ ...feed, "error.type": "gone" }, 1],
      [{ ...feed, "error.type": "refused" }, 3],
    ],
  });
});

test("counts that other parts keep are added to what was lost here", () => {
  const losses = createLosses();
  let refused = 0;
  losses.follow("address_over_limit_detail", () => refused);
  losses.follow("frame_unusable", () => 2);
  losses.lose("frame_unusable", 3);

  const before = losses.read();
  refused = 23;
  const after = losses.read();

  expect([before, after]).toEqual([{ frame_unusable: 5 }, { frame_unusable: 5, address_over_limit_detail: 23 }]);
});

test("counters of a probe that was started again go on from where they were", () => {
  const state = new SelfState(createLosses());
  const report = (probeCpuUs: number, runs: number) =>
    state.addExchange({ status: status({ probeCpuUs }), programs: [program({ runs })], end: exchangeEnd() }, 0.1);

  report(1_000_000, 100);
  report(1_500_000, 150);
  report(200_000, 7);

  expect({ cpu: state.probeCpuSeconds(), runs: state.programs().map(({ runs }) => runs) }).toEqual({
    cpu: 1.7,
    runs: [157],
  });
});

test("losing nothing is not a loss", () => {
  const losses = createLosses();

  losses.lose("points_rejected", 0);

  expect(losses.read()).toEqual({});
});
