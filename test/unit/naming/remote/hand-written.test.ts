/** EndpointSlices that people write: who has an address itself comes first, and a Service goes by who that is. */
import { describe, expect, test } from "vitest";
import { PENDING_MS } from "../../../../agent/naming/identify.ts";
import { BothWays } from "../both-ways.ts";
import { node, pod, START_MS, service, slice } from "../cluster-builders.ts";
import { MINUTE, SECOND } from "../remote-end.ts";

const ADDRESS = "10.1.0.60";
const LATER = START_MS + MINUTE;
const db = pod("db-0", { addresses: [ADDRESS], createdMs: 1_000 });
const primary = service("primary", { clusterAddresses: ["10.96.0.65"], ports: [5432] });
const endpoint = (address = ADDRESS) => [{ addresses: [address], podUid: "" }];
const written = slice("primary-1", "primary", { ports: [5432], endpoints: endpoint() });
const DB = { kind: "pod", name: "db", podName: "db-0" };

function cluster(...pods: readonly object[]): BothWays {
  const made = new BothWays();
  made.put("nodes", node("node-1", { addresses: ["192.0.2.1"], zone: "a" }));
  made.put("services", primary);
  made.put("endpoint-slices", written);
  for (const each of pods) made.put("pods", each);
  return made;
}

describe("an endpoint that was written by hand", () => {
  const at = (made: BothWays, remoteAddress: string, sinceMs?: number) =>
    made.remote(
      { remoteAddress, serverPort: 5432 },
      sinceMs === undefined ? {} : { sinceMs, nowMs: sinceMs + SECOND },
      PENDING_MS,
    );

  test("at a pod's own address leaves that to the pod, and the Service goes by the pod's workload", () => {
    const made = cluster(db);

    expect(at(made, ADDRESS)).toMatchObject(DB);
    expect(at(made, "10.96.0.65")).toMatchObject({ kind: "service", name: "db", label: "shop/primary", zone: "a" });
  });

  test("at a private address is waited for, where no pod has it: one may be started there", () => {
    expect(cluster().remote({ remoteAddress: ADDRESS, serverPort: 5432 })).toBe(`${ADDRESS} is not known yet`);
  });

  test("is the Service where no pod has the address, under its own name", () => {
    expect([at(cluster(), ADDRESS), at(cluster(), "10.96.0.65")]).toMatchObject([
      { kind: "service", name: "primary" },
      { kind: "service", name: "primary" },
    ]);
  });

  test("gives the Service the name of the workload that has the address now", () => {
    const made = cluster(db);
    made.remove("pods", db.uid, LATER);
    const between = at(made, "10.96.0.65", LATER + SECOND);
    made.put("pods", pod("cache-0", { addresses: [ADDRESS], createdMs: 2_000 }), LATER + MINUTE);

    expect(between).toMatchObject({ name: "primary" });
    expect(at(made, "10.96.0.65", LATER + MINUTE)).toMatchObject({ name: "cache" });
    expect(at(made, ADDRESS, LATER - SECOND)).toMatchObject(DB);
  });

  test("at another Service's address leaves that to the other Service", () => {
    const made = cluster(db);
    made.put("services", service("other", { clusterAddresses: ["10.96.0.66"], ports: [5432] }));
    made.put("endpoint-slices", { ...written, uid: "uid-more", endpoints: endpoint("10.96.0.66") });

    expect(at(made, "10.96.0.66")).toMatchObject({ kind: "service", label: "shop/other" });
  });

  test("at a node's address is the Service: who listens there cannot be told from the address", () => {
    const made = cluster();
    made.put("endpoint-slices", { ...written, endpoints: endpoint("192.0.2.1") });

    expect(at(made, "192.0.2.1")).toMatchObject({ kind: "service", name: "primary" });
    expect(made.remote({ remoteAddress: "192.0.2.1", serverPort: 22 })).toMatchObject({ kind: "node" });
  });

  test("that is taken away, or given to another Service, was its Service's for growth from before", () => {
    const made = cluster();
    const before = at(made, ADDRESS);
    made.put("services", service("second", { ports: [5432] }));
    made.put("endpoint-slices", { ...written, service: "second" }, LATER);

    expect(before).toMatchObject({ name: "primary" });
    expect(at(made, ADDRESS, LATER)).toMatchObject({ name: "second" });
    expect(at(made, ADDRESS, LATER - 2 * SECOND)).toMatchObject({ name: "primary" });
  });

  test("two of which are one workload's pods and one nobody's give the Service its own name", () => {
    const made = cluster(db);
    made.put("endpoint-slices", { ...written, endpoints: [...endpoint(), ...endpoint("10.1.0.61")] });

    expect(at(made, "10.96.0.65")).toMatchObject({ name: "primary" });
  });
});
