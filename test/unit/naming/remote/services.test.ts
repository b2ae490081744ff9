/** Services whose objects change while nobody looks: what a list after an outage says, in its order. */
import { describe, expect, test } from "vitest";
import { AddressCache } from "../../../../agent/directory/client/address-cache.ts";
import type { Answer } from "../../../../agent/directory/protocol.ts";
import { DirectoryStore } from "../../../../agent/directory/server/store.ts";
import { FEEDS_OF } from "../../../../agent/kubernetes/reads.ts";
import type { ClusterChange, Service } from "../../../../agent/model/cluster-objects.ts";
import { clusterIdentity, node, pod, put, START_MS, service, slice } from "../cluster-builders.ts";
import { MINUTE, remote, SECOND } from "../remote-end.ts";

const AGAIN = START_MS + MINUTE;
const endpoints = [{ addresses: ["10.1.0.7"], podUid: "uid-cart-a" }];
const web = service("web", {
  clusterAddresses: ["10.96.0.7"],
  externalAddresses: ["198.51.100.1"],
  nodePorts: [30_023],
  createdMs: 1_000,
});

describe("a Service that was deleted and made again during an outage", () => {
  /** The list tells of the new one first; the old one's end is found out at the end of the list. */
  function changes(next: Service): ClusterChange[] {
    return [
      { feed: "services", type: "upsert", atMs: AGAIN, object: next },
      { feed: "services", type: "remove", atMs: AGAIN + 1, uid: web.uid },
    ];
  }

  function madeAgain(next: Service) {
    const identity = clusterIdentity();
    put(identity, {
      pods: [pod("cart-a", { addresses: ["10.1.0.7"] })],
      slices: [slice("web-1", "web", { endpoints })],
    });
    put(identity, { services: [web] });
    for (const change of changes(next)) identity.apply(change);
    return (remoteAddress: string, serverPort = 80) =>
      remote(identity, { remoteAddress, serverPort }, { sinceMs: AGAIN + 1, nowMs: AGAIN + MINUTE });
  }

  const ofWorkload = { kind: "service", name: "cart", label: "shop/web" };

  test.each([
    ["the same second", 1_000],
    ["later", 2_000],
  ])("has what it has, made %s", (_, createdMs) => {
    const at = madeAgain({ ...web, uid: "uid-again", createdMs });

    expect([at("10.96.0.7"), at("198.51.100.1"), at("192.0.2.1", 30_023)]).toMatchObject([
      ofWorkload,
      ofWorkload,
      ofWorkload,
    ]);
  });

  test("has its new address and ports, and nobody has the old ones", () => {
    const again = { clusterAddresses: ["10.96.0.8"], externalAddresses: ["198.51.100.2"], nodePorts: [30_029] };
    const at = madeAgain({ ...web, uid: "uid-again", createdMs: 2_000, ...again });

    expect([at("10.96.0.8"), at("198.51.100.2"), at("192.0.2.1", 30_029)]).toMatchObject([
      ofWorkload,
      ofWorkload,
      ofWorkload,
    ]);
    expect([at("10.96.0.7"), at("198.51.100.1"), at("192.0.2.1", 30_023)]).toMatchObject([
      "10.96.0.7 is not known yet",
      { kind: "external" },
      { kind: "node" },
    ]);
  });

  test("is the directory's answer at its ports, and the old ports are nobody's", () => {
    const store = new DirectoryStore(FEEDS_OF.directory, { address() {}, names() {}, ports() {}, cluster() {} });
    const put = (feed: "services" | "nodes", object: object) =>
      store.apply({ feed, type: "upsert", atMs: START_MS, object } as ClusterChange);
    put("nodes", node("node-1", { addresses: ["192.0.2.1"] }));
    put("services", web);
    const next = { ...web, uid: "uid-again", externalAddresses: ["198.51.100.2"], nodePorts: [30_023, 30_029] };
    for (const change of changes({ ...next, createdMs: 2_000 })) store.apply(change);
    store.apply({ feed: "services", type: "upsert", atMs: AGAIN + 2, object: { ...next, nodePorts: [30_029] } });

    const uidAt = (address: string, port: number) => store.atPort(address, port)?.service.uid;
    expect([uidAt("198.51.100.2", 80), uidAt("192.0.2.1", 30_029)]).toEqual(["uid-again", "uid-again"]);
    expect([uidAt("198.51.100.1", 80), uidAt("192.0.2.1", 30_023)]).toEqual([undefined, undefined]);
    expect(store.intervals("10.96.0.7").map(({ owner, untilMs }) => [owner.uid, untilMs])).toEqual([
      ["uid-web", AGAIN + 1],
      ["uid-again", Infinity],
    ]);
  });
});

test("what a directory tells of a Service's namesake from before leaves it its ports", () => {
  const identity = clusterIdentity();
  const known = new AddressCache({ onChange: (change) => identity.apply(change), capacity: 9, forgetMs: 1e9 });
  const said = ({ uid, name, namespace, clusterAddresses, createdMs: createdUnixMs }: Service) => {
    return { uid, name, namespace, clusterAddresses, createdUnixMs, goesBy: { name: "cart", namespace }, zone: "" };
  };
  const again = said({ ...web, uid: "uid-again" });
  const answers: Answer[] = [
    { key: { address: "198.51.100.1", port: 80 }, intervals: [], atPort: again },
    { key: { address: "10.96.0.8", port: 80 }, intervals: [{ fromAgeMs: 30 * SECOND, service: again }] },
    {
      key: { address: "10.96.0.7", port: 80 },
      intervals: [{ fromAgeMs: 50 * SECOND, untilAgeMs: 30 * SECOND, service: said(web) }],
    },
  ];
  for (const answer of answers) {
    known.answered(answer.key.address, answer.key.port, AGAIN);
    known.answer(answer, AGAIN);
  }

  const at = (remoteAddress: string) => remote(identity, { remoteAddress }, { sinceMs: AGAIN, nowMs: AGAIN + SECOND });
  const expected = { kind: "service", name: "cart", label: "shop/web" };
  expect([at("198.51.100.1"), at("10.96.0.8")]).toMatchObject([expected, expected]);
});

describe("a Service, where only the own node's pods are known", () => {
  const blue = pod("blue-a", { addresses: ["10.1.0.7"] });
  const behind = (...uids: string[]) =>
    slice("web-1", "web", { endpoints: uids.map((podUid) => ({ addresses: ["10.1.0.7"], podUid })) });

  test.each([
    { where: "one endpoint is the own node's", uids: ["uid-blue-a", "uid-green-a"], name: "web", zone: undefined },
    { where: "all endpoints are the own node's", uids: ["uid-blue-a"], name: "blue", zone: "a" },
  ])("goes by $name where $where", ({ uids, name, zone }) => {
    const identity = clusterIdentity("own-node");
    put(identity, { nodes: [node("node-1", { zone: "a" })], localPods: [blue] });
    put(identity, { services: [web], slices: [behind(...uids)] });

    expect(remote(identity, { remoteAddress: "10.96.0.7" })).toMatchObject({ kind: "service", name, zone });
  });
});
