/**
 * An agent that asks a directory names its peers as one that watches the whole cluster: whatever happened, in
 * whatever order, and however late it asked.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { AddressCache } from "../../../agent/directory/client/address-cache.ts";
import { decodeAnswers, encodeAnswers } from "../../../agent/directory/protocol.ts";
import { answerOf } from "../../../agent/directory/server/answers.ts";
import { DirectoryStore } from "../../../agent/directory/server/store.ts";
import { FEEDS_OF } from "../../../agent/kubernetes/reads.ts";
import type { ClusterChange } from "../../../agent/model/cluster-objects.ts";
import type { Role } from "../../../agent/model/edge.ts";
import type { ClusterIdentity } from "../../../agent/naming/identify.ts";
import { clusterIdentity, edge, node, ns, pod, START_MS, service, slice } from "../naming/cluster-builders.ts";

const POD_ADDRESSES = ["10.1.0.2", "10.1.0.3"];
const KEYS: readonly { address: string; port: number; role: Role }[] = [
  ...POD_ADDRESSES.flatMap((address) => [
    { address, port: 8080, role: "client" as const },
    { address, port: 0, role: "server" as const },
  ]),
  { address: "10.96.0.1", port: 80, role: "client" },
  { address: "10.96.0.2", port: 8080, role: "client" },
  { address: "192.0.2.9", port: 30_080, role: "client" },
  { address: "192.0.2.9", port: 8080, role: "client" },
  { address: "198.51.100.9", port: 8080, role: "client" },
  { address: "192.0.2.10", port: 30_080, role: "client" },
  { address: "192.0.2.10", port: 0, role: "server" },
  { address: "198.51.100.7", port: 443, role: "client" },
  { address: "203.0.113.9", port: 443, role: "client" },
];

/** A change without its time. */
type Step = { readonly feed: ClusterChange["feed"]; readonly type: "upsert" | "remove" } & Readonly<
  Record<string, unknown>
>;
const upsert = (feed: ClusterChange["feed"], object: object): Step => ({ feed, type: "upsert", object });
const remove = (feed: ClusterChange["feed"], uid: string): Step => ({ feed, type: "remove", uid });

const NAMES = ["cart-a", "cart-b", "bill-c", "job-d"];
const addresses = fc.subarray(POD_ADDRESSES);
/** Of pods that stay: a watch finds out which workload is behind a Service when it is asked, a directory at once. */
const FRONT = ["front-x", "front-y"].map((name) => pod(name));
const endpoints = fc.subarray(FRONT).map((pods) => pods.map(({ uid }) => ({ addresses: [], podUid: uid })));

const byHand = (address: string) => [{ addresses: [address], podUid: "" }];
const HAND = service("hand", { clusterAddresses: ["10.96.0.2"], ports: [8080] });

const written = (address: string, of = "hand") =>
  upsert("endpoint-slices", slice(`${of}-1`, of, { ports: [8080], endpoints: byHand(address) }));

const anyPod = fc
  .record({ name: fc.constantFrom(...NAMES), addresses, ended: fc.boolean(), terminating: fc.boolean() })
  .map(({ name, ...more }) => upsert("pods", pod(name, more)));
const anyStep = fc.oneof(
  { arbitrary: anyPod, weight: 4 },
  { arbitrary: fc.constantFrom(...NAMES).map((name) => remove("pods", `uid-${name}`)), weight: 2 },
  endpoints.map((each) => upsert("endpoint-slices", slice("front-1", "front", { endpoints: each }))),
  fc.constant(remove("endpoint-slices", "uid-front-1")),
  fc.constant(written("10.1.0.2")),
  fc.constantFrom("node-2", "node-3").map((name) => remove("nodes", `uid-${name}`)),
);

/** A directory does not tell who had a port before it was asked. */
const anyEarlyStep = fc.oneof(
  { arbitrary: anyStep, weight: 6 },
  fc.constantFrom("192.0.2.9", "198.51.100.9").map((address) => written(address, "far")),
  fc.constant(remove("endpoint-slices", "uid-far-1")),
);

/** When each pod was made: any of them may be given the address of any other, as happens after a node's restart. */
const anyCreation = fc.tuple(...NAMES.map(() => fc.constantFrom(0, 1_000, 2_000)));

function created(step: Step, times: readonly number[]): Step {
  const { object } = step as { readonly object?: { readonly name?: string } };
  const createdMs = times[NAMES.indexOf(object?.name ?? "")];
  return createdMs === undefined ? step : { ...step, object: { ...object, createdMs } };
}

const SERVICE = service("front", {
  clusterAddresses: ["10.96.0.1"],
  externalAddresses: ["198.51.100.7"],
  ports: [80, 443],
  nodePorts: [30_080],
});

function answerAll(store: DirectoryStore, known: AddressCache, atMs: number): void {
  for (const key of KEYS) {
    const bytes = encodeAnswers({ answers: [answerOf(store, key, atMs)] });
    for (const answer of decodeAnswers(bytes).answers) known.answer(answer, atMs);
  }
}

/** What an identity says of each key, for growth that began at each of these times. */
function namesOf(identity: ClusterIdentity, times: readonly number[], nowMs: number): object[] {
  return KEYS.flatMap(({ address, port, role }) =>
    times.map((sinceMs) => {
      const key = edge({ remoteAddress: address, serverPort: port, role });
      // At once, when some growth still waits for news, and when all has waited long enough.
      const [remoteNow, remote] = [nowMs, nowMs + 60_000].map((askedMs) => {
        const identified = identity.identify(key, ns(sinceMs), ns(nowMs), ns(askedMs));
        return identified.state === "named" ? identified.remote : "pending";
      });
      return { address, port, role, sinceMs, remoteNow, remote };
    }),
  );
}

test.each([
  ["asked from the beginning", true],
  ["asked at the end", false],
])("a directory's names are a watch's names, %s", (_, isEarly) => {
  fc.assert(
    fc.property(
      fc.array(isEarly ? anyEarlyStep : anyStep, { minLength: 1, maxLength: 12 }),
      anyCreation,
      (steps, times) => {
        const watching = clusterIdentity();
        const asking = clusterIdentity();
        const store = new DirectoryStore(FEEDS_OF.directory, { address() {}, names() {}, ports() {}, cluster() {} });
        for (const feed of FEEDS_OF.directory) store.apply({ feed, type: "synced", atMs: START_MS });
        const known = new AddressCache({ onChange: (c) => asking.apply(c), capacity: 100, forgetMs: 1e9 });
        const all = [
          upsert("nodes", node("node-1", { addresses: ["192.0.2.9"], zone: "a" })),
          upsert("services", SERVICE),
          upsert("services", HAND),
          upsert("services", service("far", { ports: [8080] })),
          ...FRONT.map((each) => upsert("pods", each)),
          ...steps.map((step) => created(step, times)),
        ];
        let atMs = START_MS;
        const ask = () => {
          for (const { address, port } of KEYS) known.answered(address, port, atMs);
        };
        if (isEarly) ask();
        for (const step of all) {
          atMs += 1000;
          const change = { ...step, atMs } as unknown as ClusterChange;
          watching.apply(change);
          store.apply(change);
          if (isEarly) answerAll(store, known, atMs);
        }
        atMs += 1000;
        if (!isEarly) ask();
        answerAll(store, known, atMs);

        const moments = Array.from({ length: all.length + 1 }, (__, i) => START_MS + i * 1000 + 500);
        expect(namesOf(asking, moments, atMs)).toEqual(namesOf(watching, moments, atMs));
      },
    ),
    { numRuns: 300 },
  );
});
