/** One resource kept up to date through everything an API server does to its watchers. */
import { describe, expect, test } from "vitest";
import type { FakeApiServer } from "../../kubernetes/fake-api-server.ts";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";
import { eventually, plainConnection, startWatching } from "./watching.ts";

function putPods(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.put(podObject({ name }));
}

describe("the list", () => {
  test("comes as a watch-list where the server has it", async () => {
    const { server, watch, told } = await startWatching({ prepare: (server) => putPods(server, "a", "b") });

    await eventually(() => expect(told).toEqual(["+a", "+b", "synced"]));

    expect(server.requests.map(({ query }) => query.sendInitialEvents)).toEqual(["true"]);
    expect(watch.state).toMatchObject({ synced: true, current: true, objects: 2, watchList: true, failures: {} });
  });

  test("comes in pages of 500 where the server refuses a watch-list, and nothing is a failure", async () => {
    const names = Array.from({ length: 1_123 }, (_, i) => `pod-${i}`);
    const { server, watch, told } = await startWatching({
      prepare: (server) => {
        server.watchList = false;
        putPods(server, ...names);
      },
    });

    await eventually(() => expect(watch.state.current).toBe(true));

    expect(told).toEqual([...names.map((name) => `+${name}`), "synced"]);
    expect(
      server.requests.slice(1).map(({ query }) => [query.watch, query.limit, query.continue !== undefined]),
    ).toEqual([
      [undefined, "500", false],
      [undefined, "500", true],
      [undefined, "500", true],
      ["true", undefined, false],
    ]);
    expect(watch.state).toMatchObject({ synced: true, current: true, objects: 1_123, watchList: false, failures: {} });
  });

  test("begins anew when history is compacted between two pages", async () => {
    const { server, watch, pods } = await startWatching({
      prepare: (server) => {
        server.watchList = false;
        putPods(server, ...Array.from({ length: 501 }, (_, i) => `pod-${i}`));
        // The second page is the third answer: the refused watch-list and the first page come before it.
        const push = server.requests.push.bind(server.requests);
        server.requests.push = (...seen) => {
          if (seen[0]?.query.continue !== undefined && server.requests.length === 2) server.compact();
          return push(...seen);
        };
      },
    });

    await eventually(() => expect(watch.state.current).toBe(true));

    expect(pods()).toHaveLength(501);
    expect(watch.state).toMatchObject({ lists: 3, failures: { gone: 1 } });
    expect(server.watchers).toBe(1);
  });
});

describe("changes", () => {
  test("are told in their order", async () => {
    const { server, told } = await startWatching({ prepare: (server) => putPods(server, "a") });
    await eventually(() => expect(server.watchers).toBe(1));

    putPods(server, "b", "a");
    server.delete("Pod", "b", "default");

    await eventually(() => expect(told).toEqual(["+a", "synced", "+b", "+a", "-b"]));
  });

  test("while nobody was connected are told by history, without a second list", async () => {
    const { server, watch, told } = await startWatching({ prepare: (server) => putPods(server, "a", "b") });
    await eventually(() => expect(watch.state.current).toBe(true));

    await server.stop();
    server.delete("Pod", "a", "default");
    putPods(server, "c");
    await server.start();

    await eventually(() => expect(told).toEqual(["+a", "+b", "synced", "-a", "+c"]));
    expect(watch.state).toMatchObject({ lists: 1, objects: 2 });
  });

  test("that are lost to compaction are found by a new list, deletions too", async () => {
    const { server, watch, pods, told } = await startWatching({ prepare: (server) => putPods(server, "a", "b") });
    await eventually(() => expect(watch.state.current).toBe(true));

    await server.stop();
    server.delete("Pod", "a", "default");
    putPods(server, "c");
    server.compact();
    await server.start();

    await eventually(() => expect(told.filter((what) => what === "synced")).toHaveLength(2));
    expect(pods()).toEqual(["b", "c"]);
    expect(watch.state).toMatchObject({ lists: 2, objects: 2, failures: { gone: 1 } });
  });

  test("of a bookmark move the place to go on from", async () => {
    const { server, watch } = await startWatching({ prepare: (server) => putPods(server, "a") });
    await eventually(() => expect(watch.state.current).toBe(true));

    server.put({ apiVersion: "v1", kind: "Service", metadata: { name: "moves-the-version", namespace: "default" } });
    server.bookmark();
    server.endWatches();

    await eventually(() => expect(server.requests.at(-1)?.query.resourceVersion).toBe("102"));
  });
});

describe("a server", () => {
  test("that refuses connections is tried again, ever more slowly, until it is back", async () => {
    const { server, watch, pods } = await startWatching();
    await eventually(() => expect(watch.state.current).toBe(true));

    await server.stop();
    await eventually(() => expect(watch.state.failures.refused).toBeGreaterThanOrEqual(3));
    putPods(server, "a");
    await server.start();

    await eventually(() => expect(pods()).toEqual(["a"]));
    expect(watch.state.current).toBe(true);
  });

  test("that is away is told to the log once for each reason, and once when it is back", async () => {
    const { server, watch, log } = await startWatching();
    await eventually(() => expect(watch.state.current).toBe(true));

    await server.stop();
    await eventually(() => expect(watch.state.failures.refused).toBeGreaterThanOrEqual(5));
    server.token = "none";
    await server.start();
    await eventually(() => expect(watch.state.failures.unauthorized).toBeGreaterThanOrEqual(5));
    server.token = undefined;
    await eventually(() => expect(watch.state.current).toBe(true));

    const lost = "lost the API server: it is tried until it is back, names may be old";
    const detail = "status 401: Unauthorized (watch pods)";
    const remedy = "the API server does not take the user's: renew it";
    expect(log).toMatchObject([
      { message: lost, fields: { reason: "refused" } },
      { message: lost, fields: { reason: "unauthorized", detail, remedy } },
      {
        message: "names are current again",
        fields: { over: [expect.stringContaining("refused: connect"), `unauthorized: ${detail}; ${remedy}`] },
      },
    ]);
  });

  test("that says nothing at all is left after the silence", async () => {
    const { server, watch, pods } = await startWatching({ silenceMs: 100 });
    await eventually(() => expect(watch.state.current).toBe(true));

    server.hush();
    await eventually(() => expect(watch.state.failures.silent).toBeGreaterThanOrEqual(2));
    server.speak();
    putPods(server, "a");

    await eventually(() => expect(pods()).toEqual(["a"]));
  });

  test("that ends each watch at once is not hammered", async () => {
    const { server, watch } = await startWatching();
    await eventually(() => expect(watch.state.current).toBe(true));

    // With waits of 2.5, 5, 10, 10, … ms between connects, 23 of them cannot come sooner than this.
    const startedMs = performance.now();
    for (let i = 0; i < 23; i++) {
      await eventually(() => expect(server.watchers).toBe(1));
      server.endWatches();
      await eventually(() => expect(server.watchers).toBe(0));
    }

    expect(performance.now() - startedMs).toBeGreaterThan(2.5 + 5 + 10 * 19);
    expect(watch.state.lists).toBe(1);
  });

  test("that asks to wait is given the time", async () => {
    const startedMs = performance.now();
    const { watch } = await startWatching({
      prepare: (server) => server.nextAnswers.push({ status: 429, headers: { "retry-after": "1" } }),
    });

    await eventually(() => expect(watch.state.current).toBe(true));

    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1_000);
    expect(watch.state.failures).toEqual({ throttled: 1 });
  });

  test("that answers 5xx again and again is asked for a new list", async () => {
    const { server, watch } = await startWatching();
    await eventually(() => expect(watch.state.current).toBe(true));

    server.nextAnswers.push({ status: 504 }, { status: 504 }, { status: 504 });
    server.dropConnections();

    await eventually(() => expect(watch.state).toMatchObject({ current: true, lists: 2 }));
    expect(watch.state.failures).toMatchObject({ server_error: 3 });
  });

  test("that lets nobody in is counted by reason and sees no object", async () => {
    const { watch, told } = await startWatching({
      prepare: (server) => {
        server.token = "s3cret";
      },
    });

    await eventually(() => expect(watch.state.failures.unauthorized).toBeGreaterThanOrEqual(2));

    expect({ told, synced: watch.state.synced }).toEqual({ told: [], synced: false });
  });
});

describe("the age of what is known", () => {
  test("begins anew with each word of the server, also one that changes nothing", async () => {
    const { server, watch } = await startWatching();
    await eventually(() => expect(watch.state.current).toBe(true));
    await eventually(() => expect(watch.state.ageMs).toBeGreaterThan(200));

    server.bookmark();

    await eventually(() => expect(watch.state.ageMs).toBeLessThan(200));
    expect(watch.state.connects).toBe(1);
  });

  test("grows while the server is away, though the watch goes on trying", async () => {
    const { server, watch } = await startWatching();
    await eventually(() => expect(watch.state.current).toBe(true));

    await server.stop();
    await eventually(() => expect(watch.state.ageMs).toBeGreaterThan(500));

    expect(watch.state.idleMs).toBeLessThan(watch.state.ageMs);
    await server.start();
    await eventually(() => expect(watch.state.ageMs).toBeLessThan(200));
  });
});

test("a token that was replaced is asked for with the next connect", async () => {
  let token = "first";
  const { server, watch } = await startWatching({
    prepare: (server) => {
      server.token = token;
    },
    connection: (server) => ({
      ...plainConnection(server),
      credentials: async () => {
        const { options, ...rest } = await plainConnection(server).credentials();
        return { ...rest, options: { ...options, headers: { authorization: `Bearer ${token}` } } };
      },
    }),
  });
  await eventually(() => expect(watch.state.current).toBe(true));

  server.token = "second";
  server.dropConnections();
  await eventually(() => expect(watch.state.failures.unauthorized).toBeGreaterThanOrEqual(1));
  token = "second";

  await eventually(() => expect(watch.state.current).toBe(true));
});

test("lines that are no event are counted and the watch goes on", async () => {
  const { server, watch, told } = await startWatching();
  await eventually(() => expect(server.watchers).toBe(1));

  const junk = [
    "{",
    "null",
    "[]",
    "7",
    '{"type":"ADDED"}',
    '{"type":"ADDED","object":{"metadata":{"uid":7}}}',
    '{"type":"?"}',
  ];
  server.writeRaw("Pod", `${junk.join("\n")}\n`);
  putPods(server, "a");

  await eventually(() => expect(told).toEqual(["synced", "+a"]));
  expect(watch.state).toMatchObject({ current: true, lists: 1, failures: {}, unreadable: junk.length });
});

test("stopping closes the connection", async () => {
  const { server, watch } = await startWatching();
  await eventually(() => expect(server.watchers).toBe(1));

  watch.stop();

  await eventually(() => expect(server.watchers).toBe(0));
});
