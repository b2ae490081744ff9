/** One address that several owners have at the same time: what nobody can tell apart is not told. */
import { describe, expect, test } from "vitest";
import { BothWays } from "../both-ways.ts";
import { node, pod, START_MS, service } from "../cluster-builders.ts";
import { CART_POD, end, MINUTE, SECOND } from "../remote-end.ts";

const ADDRESS = "10.1.0.7";
const LATER = START_MS + MINUTE;

describe("two pods that live under one address", () => {
  const cart = pod("cart-a", { addresses: [ADDRESS], createdMs: 1_000 });
  const bill = pod("bill-b", { addresses: [ADDRESS], createdMs: 2_000, node: "node-2" });
  const unknown = end("unknown", ADDRESS);

  test.each([
    ["the older is told first", [cart, bill]],
    ["the younger is told first", [bill, cart]],
  ])("are not told apart, in no zone, where %s", (_, pods) => {
    const cluster = new BothWays();
    for (const name of ["node-1", "node-2"]) cluster.put("nodes", node(name, { zone: "a" }));
    for (const each of pods) cluster.put("pods", each);

    const ends = [
      cluster.remote({ remoteAddress: ADDRESS }),
      cluster.remote({ remoteAddress: ADDRESS, role: "server" }),
    ];
    expect(ends).toEqual([unknown, unknown]);
  });

  test("are their workload where it is one, in their zone where it is one", () => {
    const cluster = new BothWays();
    for (const name of ["node-1", "node-2"]) cluster.put("nodes", node(name, { zone: "a" }));
    cluster.put("pods", cart);
    cluster.put("pods", pod("cart-b", { addresses: [ADDRESS], node: "node-2" }));

    expect(cluster.remote({ remoteAddress: ADDRESS })).toEqual({
      ...end("pod", "shop/cart", { name: "cart", namespace: "shop" }),
      zone: "a",
    });
  });

  test("leave it to the one that stays, for growth from after the other's end", () => {
    const cluster = new BothWays();
    cluster.put("pods", cart);
    cluster.put("pods", bill);
    const before = cluster.remote({ remoteAddress: ADDRESS });
    cluster.put("pods", { ...bill, terminating: true }, LATER);
    const terminating = cluster.remote({ remoteAddress: ADDRESS });
    cluster.remove("pods", bill.uid, LATER + MINUTE);
    const growth = (sinceMs: number) => ({ sinceMs, nowMs: LATER + 2 * MINUTE });

    expect([before, terminating]).toEqual([unknown, unknown]);
    expect(cluster.remote({ remoteAddress: ADDRESS }, growth(LATER + MINUTE - 1))).toEqual(unknown);
    expect(cluster.remote({ remoteAddress: ADDRESS }, growth(LATER + MINUTE))).toEqual(CART_POD);
  });

  test("one that is told to end, and whose successor has the address, had it before", () => {
    const cluster = new BothWays();
    cluster.put("pods", cart);
    cluster.put("pods", { ...cart, terminating: true }, LATER);
    cluster.put("pods", { ...bill, addresses: [] }, LATER + SECOND);
    cluster.put("pods", bill, LATER + 2 * SECOND);
    const growth = { sinceMs: LATER + 2 * SECOND, nowMs: LATER + MINUTE };

    expect(cluster.remote({ remoteAddress: ADDRESS }, growth)).toMatchObject({ podName: "bill-b" });
  });
});

describe("nodes behind one address", () => {
  const EXTERNAL = "203.0.113.9";
  const nodes = ["a", "b", "c"].map((zone, i) => {
    return node(`node-${i + 1}`, { zone, addresses: [`192.0.2.1${i}`, EXTERNAL], createdMs: i * 1_000 });
  });
  const web = service("web", { nodePorts: [30_080] });

  function cluster(): BothWays {
    const made = new BothWays();
    for (const each of nodes) made.put("nodes", each);
    made.put("services", web);
    return made;
  }

  test.each([
    ["a client from there", { role: "server", serverPort: 8080 } as const],
    ["a server there", { role: "client", serverPort: 443 } as const],
  ])("are not told apart, in no zone: %s", (_, key) => {
    expect(cluster().remote({ ...key, remoteAddress: EXTERNAL })).toEqual(end("unknown", EXTERNAL));
  });

  test("have their own addresses for themselves", () => {
    expect(cluster().remote({ remoteAddress: "192.0.2.11" })).toMatchObject({ name: "node-2", zone: "b" });
  });

  test("are all one Service at its node port", () => {
    expect(cluster().remote({ remoteAddress: EXTERNAL, serverPort: 30_080 })).toMatchObject({
      kind: "service",
      label: "shop/web",
    });
  });

  test("are told apart when one is left", () => {
    const made = cluster();
    for (const { uid } of nodes.slice(1)) made.remove("nodes", uid, LATER);

    const growth = { sinceMs: LATER, nowMs: LATER + SECOND };
    expect(made.remote({ remoteAddress: EXTERNAL }, growth)).toMatchObject({ name: "node-1", zone: "a" });
  });

  test("a hundred are bounded by what there is, and the last that is left has it", () => {
    const made = new BothWays();
    const many = Array.from({ length: 100 }, (_, i) => node(`node-${i}`, { addresses: [EXTERNAL] }));
    for (const each of many) made.put("nodes", each);
    const before = made.remote({ remoteAddress: EXTERNAL });
    for (const { uid } of many.slice(0, 99)) made.remove("nodes", uid, LATER);

    const growth = { sinceMs: LATER, nowMs: LATER + SECOND };
    expect([before, made.remote({ remoteAddress: EXTERNAL }, growth)]).toMatchObject([
      { kind: "unknown" },
      { name: "node-99" },
    ]);
  });
});

test("a node that was made again under its name is that node, for growth of both", () => {
  const cluster = new BothWays();
  const first = node("node-2", { addresses: ["192.0.2.2"], zone: "a" });
  cluster.put("nodes", first);
  cluster.put("nodes", { ...first, uid: "uid-again", createdMs: 5_000 }, LATER);
  cluster.remove("nodes", first.uid, LATER + 1);

  const growth = { sinceMs: LATER - SECOND, nowMs: LATER + SECOND };
  expect(cluster.remote({ remoteAddress: "192.0.2.2" }, growth)).toMatchObject({ kind: "node", name: "node-2" });
});
