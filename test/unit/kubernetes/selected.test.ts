/** The list of one node's pods, where a server without watch-list would read those of all nodes to make a page. */
import { expect, test } from "vitest";
import type { FakeApiServer } from "../../kubernetes/fake-api-server.ts";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";
import { PAGE, startHostile, withoutWatchList } from "./hostile-answers.ts";
import { eventually, plainConnection, startWatching, watchPods } from "./watching.ts";

const fieldSelector = "spec.nodeName=node-1";
/** What says that any copy does, or one that is at least as new as this. */
const whole = (resourceVersion: string) => ({ fieldSelector, resourceVersion, resourceVersionMatch: "NotOlderThan" });

function startSelecting() {
  return startWatching({
    query: { fieldSelector },
    prepare: (server) => {
      server.watchList = false;
      for (const name of ["a", "b"]) server.put(podObject({ name, node: "node-1" }));
      server.put(podObject({ name: "elsewhere", node: "node-2" }));
    },
  });
}

/** Queries of all lists so far. */
const lists = ({ requests }: FakeApiServer) => requests.flatMap(({ query }) => (query.watch ? [] : [query]));

test("is asked for whole, and from the server's cache", async () => {
  const { server, watch, told } = await startSelecting();

  await eventually(() => expect(watch.state.current).toBe(true));

  expect(lists(server)).toEqual([whole("0")]);
  expect(server.requests.at(-1)?.query).toMatchObject({ fieldSelector, watch: "true", resourceVersion: "103" });
  expect(told).toEqual(["+a", "+b", "synced"]);
  expect(watch.state).toMatchObject({ watchList: false, failures: {} });
});

test("is never older than what is known, when history is lost", async () => {
  const { server, watch, pods } = await startSelecting();
  await eventually(() => expect(watch.state.current).toBe(true));
  server.put(podObject({ name: "c", node: "node-1" }));
  await eventually(() => expect(pods()).toEqual(["a", "b", "c"]));

  await server.stop();
  server.delete("Pod", "a", "default");
  server.compact();
  await server.start();
  await eventually(() => expect(pods()).toEqual(["b", "c"]));

  expect(lists(server)).toEqual([whole("0"), whole("104")]);
  expect(watch.state.failures.gone).toBe(1);
});

test.each([
  // "Too large resource version": etcd was restored from a backup.
  ["5xx again and again", [504, 504, 504], 3],
  ["410", [410], 1],
  ["another 4xx", [400], 1],
])("begins from anywhere where a version is answered with %s", async (_, refusals, refused) => {
  const { server, watch } = await startSelecting();
  await eventually(() => expect(watch.state.current).toBe(true));

  server.nextAnswers.push({ status: 410 }, ...refusals.map((status) => ({ status })));
  server.dropConnections();

  const expected = [whole("0"), ...Array(refused).fill(whole("103")), whole("0")];
  await eventually(() => expect(lists(server)).toEqual(expected));
  await eventually(() => expect(watch.state.current).toBe(true));
});

test("that comes in pages all the same is read to its end", async () => {
  const seen: object[] = [];
  const raw = await startHostile(
    withoutWatchList((answer, { url }) => {
      const query = Object.fromEntries(new URL(url ?? "", "http://localhost").searchParams);
      answer.writeHead(200);
      if (query.watch) answer.flushHeaders();
      else
        answer.end(seen.push(query) === 1 ? '{"metadata":{"resourceVersion":"23","continue":"on"},"items":[]}' : PAGE);
    }),
  );
  const { watch, pods } = watchPods(plainConnection(raw), 5_000, { fieldSelector });

  await eventually(() => expect(watch.state.current).toBe(true));

  expect(seen).toEqual([whole("0"), { fieldSelector, limit: "500", continue: "on" }]);
  expect(pods()).toEqual(["a", "b", "c"]);
});
