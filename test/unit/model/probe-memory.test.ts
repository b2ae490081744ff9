/** The memory that a probe needs, and the limit that the manifests give it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { checkMemory, SHIPPED_LIMIT_BYTES } from "../../../agent/cli/doctor/check-memory.ts";
import { SETTINGS } from "../../../agent/config/settings.ts";
import { probeMemory, socketsWithin } from "../../../agent/model/probe-memory.ts";

const EDGES = SETTINGS.probe.edges.default as number;

test("the manifests' limit carries the default's edges and 100,000 sockets, and is what doctor takes it for", () => {
  const file = fileURLToPath(new URL("../../../deploy/manifests/probe-daemon-set.yaml", import.meta.url));
  const { containers } = parse(readFileSync(file, "utf8")).spec.template.spec;
  const probe = containers.find(({ name }: { readonly name: string }) => name === "probe");

  expect(probe.resources.limits.memory).toBe(`${SHIPPED_LIMIT_BYTES >> 20}Mi`);
  expect(probe.args.filter((argument: string) => argument.startsWith("--edges"))).toEqual([]);
  expect(probeMemory(EDGES, 100_000)).toBeLessThanOrEqual(SHIPPED_LIMIT_BYTES);
});

test("a limit carries just the sockets that need it", () => {
  const sockets = socketsWithin(SHIPPED_LIMIT_BYTES, EDGES);

  expect(probeMemory(EDGES, sockets)).toBeLessThanOrEqual(SHIPPED_LIMIT_BYTES);
  expect(probeMemory(EDGES, sockets + 1)).toBeGreaterThan(SHIPPED_LIMIT_BYTES);
  expect(socketsWithin(SHIPPED_LIMIT_BYTES, 1_000_000)).toBe(0);
});

test("doctor warns of more edges than the manifests' limit carries, with the limit that does", () => {
  expect(checkMemory(EDGES)).toEqual({
    name: "probe memory",
    state: "ok",
    found:
      "room for 65,536 edges and 100,000 open sockets takes 217 MiB; the manifests' limit of 256 MiB carries 188,557 sockets",
  });
  expect(checkMemory(200_000)).toMatchObject({
    state: "warn",
    found:
      "room for 200,000 edges and 100,000 open sockets takes 481 MiB; the manifests' limit of 256 MiB carries not even the edges",
    remedy: "where the probe has a limit, set resources.limits.memory of its container to 481Mi, or lower probe.edges",
  });
});
