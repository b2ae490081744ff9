/** Agents' streams to replicas of the directory, over loopback: answers, changes, replicas that go and come. */
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { decodeAnswers, encodeAnswers, FOLLOW } from "../../../agent/directory/protocol.ts";
import { FEEDS_OF } from "../../../agent/kubernetes/reads.ts";
import { PENDING_MS } from "../../../agent/naming/identify.ts";
import { edge, identityOf, node, ns, pod, START_MS, service } from "../naming/cluster-builders.ts";
import { eventually, nowMs, startAsking, startServing } from "./serving.ts";

const cart = pod("cart-a", { addresses: ["10.1.0.2"], createdMs: 1000 });
const bill = pod("bill-b", { addresses: ["10.1.0.2"], createdMs: 2000 });

test("an address that was asked for is answered, and again whenever its owner changes", async () => {
  const serving = await startServing();
  serving.put("pods", cart);
  const asking = startAsking([serving.address]);
  expect(asking.ask("10.1.0.2")).toBe(false);
  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));
  expect(asking.ask("10.1.0.2")).toBe(true);

  const changedMs = performance.now();
  serving.remove("pods", cart.uid);
  serving.put("pods", bill);
  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "bill-b" }));

  expect(performance.now() - changedMs).toBeLessThan(4_000);
});

test("an address that nobody has is answered too", async () => {
  const serving = await startServing();
  const asking = startAsking([serving.address]);
  asking.ask("10.1.0.77");

  await eventually(() => expect(asking.ask("10.1.0.77")).toBe(true));

  expect(asking.pods()).toEqual({});
});

test("the first answer brings the cluster's uid, the own node, and the end of the wait for all feeds", async () => {
  const serving = await startServing();
  serving.put("namespaces", { uid: "uid-of-the-cluster", name: "kube-system" });
  serving.put("nodes", node("node-1", { zone: "a", addresses: ["192.0.2.9"] }));
  const { changes } = startAsking([serving.address]);

  await eventually(() =>
    expect(new Set(changes.filter(({ type }) => type === "synced").map(({ feed }) => feed)).size).toBe(
      FEEDS_OF.directory.length,
    ),
  );

  expect(changes.filter(({ type }) => type === "upsert").map((change) => ({ ...change, atMs: 0 }))).toEqual([
    { feed: "namespaces", type: "upsert", atMs: 0, object: { uid: "uid-of-the-cluster", name: "kube-system" } },
    // Its addresses are not the agent's business before it has seen one of them.
    { feed: "nodes", type: "upsert", atMs: 0, object: node("node-1", { zone: "a" }) },
  ]);
});

test("a Service that goes by another workload's name is told again", async () => {
  const serving = await startServing();
  serving.put("services", service("front", { clusterAddresses: ["10.96.0.1"] }));
  const { changes, ask } = startAsking([serving.address]);
  ask("10.96.0.1");
  const names = () =>
    changes.flatMap((change) =>
      change.feed === "services" && change.type === "upsert" ? [change.object.goesBy?.peer.name] : [],
    );
  await eventually(() => expect(names()).toEqual(["front"]));

  const endpoints = [{ addresses: ["10.1.0.2"], podUid: cart.uid }];
  const one = { uid: "uid-slice", namespace: "shop", service: "front", ports: [80], endpoints };
  serving.put("endpoint-slices", one);
  serving.put("pods", cart);
  await eventually(() => expect(names()).toEqual(["front", "cart"]));
});

test("a Service's new name is told to all who follow it, also when one has asked just after the change", async () => {
  const serving = await startServing();
  const endpoints = (podUid: string) => [{ addresses: ["10.1.0.2"], podUid }];
  const one = { uid: "uid-slice", namespace: "shop", service: "front", ports: [80] };
  for (const each of [pod("cart-a"), pod("bill-b")]) serving.put("pods", each);
  serving.put("services", service("front", { clusterAddresses: ["10.96.0.1"] }));
  serving.put("endpoint-slices", { ...one, endpoints: endpoints("uid-cart-a") });
  const names = ({ changes }: ReturnType<typeof startAsking>) =>
    changes.flatMap((change) =>
      change.feed === "services" && change.type === "upsert" ? [change.object.goesBy?.peer.name] : [],
    );
  const early = startAsking([serving.address]);
  early.ask("10.96.0.1");
  await eventually(() => expect(names(early)).toEqual(["cart"]));

  const late = startAsking([serving.address]);
  await eventually(() => expect(late.client.state.synced).toBe(true));
  serving.put("endpoint-slices", { ...one, endpoints: endpoints("uid-bill-b") });
  late.ask("10.96.0.1");
  await eventually(() => expect(names(late)).toEqual(["bill"]));

  await eventually(() => expect(names(early)).toEqual(["cart", "bill"]));
});

test("an address that nobody looks up any more is withdrawn at the directory", async () => {
  const serving = await startServing();
  serving.put("pods", cart);
  const asking = startAsking([serving.address], { forgetMs: 60_000 });
  asking.ask("10.1.0.2");
  await eventually(() => expect(serving.server.stats().keys).toBe(1));
  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));

  asking.client.forgetUnseen(nowMs() + 60_000);
  await eventually(() => expect(serving.server.stats().keys).toBe(0));

  expect(asking.pods()).toEqual({});
  expect(asking.client.state).toMatchObject({ objects: 0, unanswered: 0 });
});

test("addresses over the limit are not asked for, and counted", async () => {
  const asking = startAsking(["127.0.0.1:1"], { capacity: 2 });

  const answered = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "127.0.0.1"].map((address) => asking.ask(address));

  // Nobody waits for what is never asked.
  expect(answered).toEqual([false, false, true, true]);
  expect(asking.client.state).toMatchObject({ objects: 2, unanswered: 2, refused: 1 });
});

test("23,000 addresses are asked and answered", async () => {
  const serving = await startServing();
  const asking = startAsking([serving.address]);
  for (let i = 0; i < 23_000; i++) asking.ask(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);

  await eventually(() => expect(asking.client.state.unanswered).toBe(0), 50_000);

  expect(serving.server.stats()).toMatchObject({ keys: 23_000, streams: 1 });
});

describe("when a replica is lost", () => {
  test("the next one answers, and no name is lost meanwhile", async () => {
    const replicas = [await startServing({ replica: "one" }), await startServing({ replica: "two" })];
    for (const { put } of replicas) put("pods", cart);
    const asking = startAsking(replicas.map(({ address }) => address));
    asking.ask("10.1.0.2");
    await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));
    const [first, second] = asking.client.state.replica?.startsWith("one") ? replicas : replicas.toReversed();
    const told = asking.changes.length;

    await first?.server.close();
    await eventually(() => expect(asking.client.state.replica).toContain(second?.address));
    await eventually(() => expect(second?.server.stats().keys).toBe(1));

    expect(asking.changes.slice(told).filter(({ type }) => type === "remove")).toEqual([]);
    expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" });
    expect(asking.client.state).toMatchObject({ ends: 1, failures: {} });
  });

  test("the last answers stay where there is no other, and log and state say so", async () => {
    const serving = await startServing({ replica: "one" });
    serving.put("pods", cart);
    const asking = startAsking([serving.address]);
    asking.ask("10.1.0.2");
    await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));

    await serving.server.close();
    await eventually(() => expect(asking.client.state.failures.UNAVAILABLE).toBeGreaterThan(2));

    expect(asking.ask("10.1.0.2")).toBe(true);
    expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" });
    expect(asking.client.state).toMatchObject({ replica: undefined, synced: true, objects: 1 });
    expect(asking.client.state.trouble).toContain(`${serving.address}: UNAVAILABLE`);
    // Once, however often it tries.
    expect(asking.logged.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
      "lost the directory; names of peers are the last that it told, until one is back",
    ]);

    const again = await startServing({ replica: "again", listen: serving.address });
    again.put("pods", bill);
    await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "bill-b" }));
    expect(asking.logged.at(-1)?.message).toBe("the directory answers again");
    expect(asking.client.state.trouble).toBeUndefined();
  });

  test("a replica that falls silent is left for another one, and no name is lost meanwhile", async () => {
    // They say something every 10 s at most, and nothing changes.
    const replicas = [await startServing({ replica: "one" }), await startServing({ replica: "two" })];
    for (const { put } of replicas) put("pods", cart);
    const asking = startAsking(
      replicas.map(({ address }) => address),
      { silenceMs: 300 },
    );
    asking.ask("10.1.0.2");
    await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));
    const first = asking.client.state.replica;
    const told = asking.changes.length;

    await eventually(() => expect(asking.client.state.replica).not.toBe(first));
    await eventually(() => expect(asking.client.state.failures.DEADLINE_EXCEEDED).toBeGreaterThan(0));

    expect(asking.changes.slice(told).filter(({ type }) => type === "remove")).toEqual([]);
    expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" });
    expect(asking.logged.map(({ fields }) => JSON.stringify(fields)).join()).toContain("no word for 300 ms");
  });

  test("one that has not read the cluster is passed over", async () => {
    const unread = await startServing({ replica: "unread", isSynced: false });
    const asking = startAsking([unread.address]);
    await eventually(() => expect(asking.client.state.failures.UNAVAILABLE).toBeGreaterThan(0));
    expect(asking.client.state.trouble).toContain("this replica has not read the cluster yet: pods");

    const read = await startServing({ replica: "read" });
    const both = startAsking([unread.address, read.address]);

    await eventually(() => expect(both.client.state.replica).toBe(`read (${read.address})`));
  });
});

describe("labels that decide names of services", () => {
  const warnings = ({ logged }: ReturnType<typeof startAsking>) => logged.filter(({ level }) => level === "warn");

  test("on the directory alone are warned of, once", async () => {
    const serving = await startServing({ appLabels: true, streamMs: 50 });
    const asking = startAsking([serving.address]);

    await eventually(() => expect(asking.client.state.ends).toBeGreaterThan(2));

    expect(warnings(asking)).toEqual([
      {
        level: "warn",
        fields: { here: false, directory: true, replica: `replica-1 (${serving.address})` },
        message: "kubernetes.app_labels differs between agent and directory: services have two names",
      },
    ]);
  });

  test("on both are not", async () => {
    const serving = await startServing({ appLabels: true });
    const asking = startAsking([serving.address], { appLabels: true });

    await eventually(() => expect(asking.client.state.synced).toBe(true));

    expect(warnings(asking)).toEqual([]);
  });

  test("of an older replica, which does not say, are not taken for a no", () => {
    const older = encodeAnswers({ cluster: { uid: "", replica: "older" }, answers: [], ageMs: 0 });

    expect(decodeAnswers(older).cluster?.appLabels).toBeUndefined();
  });
});

test("bytes that are no question end their own stream, with words, and nobody else's", async () => {
  const serving = await startServing();
  const good = startAsking([serving.address]);
  await eventually(() => expect(good.client.state.lists).toBe(1));
  const stranger = new Client(serving.address, credentials.createInsecure());
  onTestFinished(() => stranger.close());
  const call = stranger.makeBidiStreamRequest(FOLLOW.path, FOLLOW.requestSerialize, FOLLOW.responseDeserialize);
  const failure = new Promise<ServiceError>((resolve) => call.on("error", resolve).resume());

  // A field of a wire type that does not exist.
  call.write(Buffer.from([0x0f]));

  expect((await failure).code).toBe(status.INVALID_ARGUMENT);
  expect((await failure).details).toMatch(/^no Ask: /);
  expect(serving.server.stats().refusals).toEqual({ INVALID_ARGUMENT: 1 });
  expect(good.client.state).toMatchObject({ lists: 1, failures: {} });
});

test("a stream ends after its time, and the agent comes back at once", async () => {
  const serving = await startServing({ streamMs: 200 });
  const asking = startAsking([serving.address]);

  await eventually(() => expect(asking.client.state.ends).toBeGreaterThan(1));

  expect(asking.client.state.failures).toEqual({});
});

test("an edge waits for the directory's answer for a bounded time, then its peer is unknown", () => {
  const feeds = FEEDS_OF.watch;
  const identity = identityOf({
    kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory: { answered: () => false } },
  });
  for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
  const at = (ms: number) => ns(START_MS + ms);
  const key = edge({ remoteAddress: "10.1.0.2" });

  expect(identity.identify(key, at(0), at(100))).toEqual({
    state: "pending",
    why: "the directory has not answered 10.1.0.2",
  });
  const late = [PENDING_MS + 100, PENDING_MS + 15_100].map((ms) => identity.identify(key, at(0), at(ms)));
  expect(late.map((each) => each.state === "named" && each.remote.kind)).toEqual(["unknown", "unknown"]);
});
