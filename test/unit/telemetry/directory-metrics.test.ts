/** The directory's own metrics: read back through the SDK, compared whole. */
import { expect, test } from "vitest";
import { DIRECTORY_READINGS, type DirectoryState } from "../../../agent/telemetry/directory-metrics.ts";
import { measure, selfAttributes } from "../../../agent/telemetry/provider.ts";
import { collectOnce } from "./collected.ts";

const RESOURCE = selfAttributes({
  ...{ name: "flowspan-directory", version: "1.2.3", instanceId: "8d0ef3c2" },
  ...{ hostName: "flowspan-directory-7d4b", nodeName: undefined, configured: {} },
  process: { pid: 1, createdMs: 1_000 },
});

const STATE: DirectoryState = {
  metadata: () => [
    {
      ...{ name: "pods", synced: true, idleMs: 23, trouble: undefined },
      ...{ ageMs: 2_300, objects: 101, lists: 2, ends: 7, failures: { gone: 1 } },
    },
  ],
  stats: () => ({
    ...{ streams: 997, keys: 61, answers: 10_007, changes: { pods: 103, services: 5 } },
    refusals: { UNAUTHENTICATED: 3, tls: 11 },
  }),
  adminRefusals: () => ({ too_many: 13 }),
};

test("a replica reports itself, its watches and what it does for agents, under its own name", async () => {
  const { resource, points } = await collectOnce((reader) => measure(STATE, DIRECTORY_READINGS, RESOURCE, reader));

  const pods = { "flowspan.metadata.feed": "pods" };
  expect(resource).toEqual({
    "service.name": "flowspan-directory",
    "service.version": "1.2.3",
    "service.instance.id": "8d0ef3c2",
    "host.name": "flowspan-directory-7d4b",
    "process.pid": 1,
    "process.creation.time": "1970-01-01T00:00:01.000Z",
  });
  expect(points).toEqual({
    "process.cpu.time": [
      [{ "cpu.mode": "user" }, expect.any(Number)],
      [{ "cpu.mode": "system" }, expect.any(Number)],
    ],
    "process.memory.usage": [[{}, expect.any(Number)]],
    "flowspan.metadata.age": [[pods, 2.3]],
    "flowspan.metadata.objects": [[pods, 101]],
    "flowspan.metadata.lists": [[pods, 2]],
    "flowspan.metadata.reconnects": [
      [pods, 7],
      [{ ...pods, "error.type": "gone" }, 1],
    ],
    "flowspan.admin.refusals": [[{ "error.type": "too_many" }, 13]],
    "flowspan.directory.agents": [[{}, 997]],
    "flowspan.directory.addresses": [[{}, 61]],
    "flowspan.directory.changes": [
      [pods, 103],
      [{ "flowspan.metadata.feed": "services" }, 5],
    ],
    "flowspan.directory.answers": [[{}, 10_007]],
    "flowspan.directory.refusals": [
      [{ "error.type": "UNAUTHENTICATED" }, 3],
      [{ "error.type": "tls" }, 11],
    ],
  });
});
