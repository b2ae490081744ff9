/** The memory that a probe needs, and the limit that the manifests give it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { checkMemory, SHIPPED_LIMIT_BYTES } from "../../../agent/cli/doctor/check-memory.ts";
import { SETTINGS } from "../../../agent/config/settings.ts";
import { SOCKETS_ROOM } from "../../../agent/generated/layout.ts";
import { probeMemory, type SocketStorage, socketsWithin } from "../../../agent/model/probe-memory.ts";

const EDGES = SETTINGS.probe.edges.default as number;
const STORAGES: readonly SocketStorage[] = ["in the socket", "by address"];

test("the manifests' limit carries the default's edges and 100,000 sockets, and is what doctor takes it for", () => {
  const file = fileURLToPath(new URL("../../../deploy/manifests/probe-daemon-set.yaml", import.meta.url));
  const { containers } = parse(readFileSync(file, "utf8")).spec.template.spec;
  const probe = containers.find(({ name }: { readonly name: string }) => name === "probe");

  expect(probe.resources.limits.memory).toBe(`${SHIPPED_LIMIT_BYTES >> 20}Mi`);
  expect(probe.args.filter((argument: string) => argument.startsWith("--edges"))).toEqual([]);
  for (const storage of STORAGES) expect(probeMemory(EDGES, 100_000, storage)).toBeLessThanOrEqual(SHIPPED_LIMIT_BYTES);
});

test.each(STORAGES)("a limit carries just the sockets that need it (%s)", (storage) => {
  const limit = 192 << 20;
  const sockets = socketsWithin(limit, EDGES, storage);

  expect(probeMemory(EDGES, sockets, storage)).toBeLessThanOrEqual(limit);
  expect(probeMemory(EDGES, sockets + 1, storage)).toBeGreaterThan(limit);
  expect(socketsWithin(limit, 1_000_000, storage)).toBe(0);
});

test("by address, no limit carries more than the programs' tables have room for", () => {
  expect(socketsWithin(1 << 30, EDGES, "by address")).toBe(SOCKETS_ROOM);
});

test("doctor warns of more edges than the manifests' limit carries, with the limit that does", () => {
  expect(checkMemory(EDGES, "in the socket")).toEqual({
    name: "probe memory",
    state: "ok",
    found:
      "room for 65,536 edges and 100,000 open sockets takes 217 MiB; the manifests' limit of 256 MiB carries 188,557 sockets",
  });
  expect(checkMemory(200_000, "in the socket")).toMatchObject({
    state: "warn",
    found:
      "room for 200,000 edges and 100,000 open sockets takes 481 MiB; the manifests' limit of 256 MiB carries not even the edges",
    remedy: "where the probe has a limit, set resources.limits.memory of its container to 481Mi, or lower probe.edges",
  });
  expect(checkMemory(200_000, "by address")).toMatchObject({
    found:
      "room for 200,000 edges and 100,000 open sockets takes 476 MiB; the manifests' limit of 256 MiB carries not even the edges",
    lost: "beyond its limit new sockets are not counted (loss storage_failed), or the kernel ends the probe",
  });
});
