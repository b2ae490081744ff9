/** What a watch holds after many reconnects is what it held after the first connect. */
import { getEventListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { eventually, startWatching, watchPods } from "./watching.ts";

/** How many of each kind of thing keep this process busy: sockets, timers, requests. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** What there is more of than before. Waits without a timer of its own at the time of the reading. */
async function leftOver(read: () => Record<string, number>, before: Readonly<Record<string, number>>) {
  const more = () => Object.entries(read()).filter(([kind, count]) => count > (before[kind] ?? 0));
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs && more().length > 0) await sleep(5);
  return more();
}

test("after 23 broken connections, as many refused ones and silences, nothing is left of them", async () => {
  const signals: AbortSignal[] = [];
  vi.stubGlobal(
    "AbortController",
    class extends AbortController {
      constructor() {
        super();
        signals.push(this.signal);
      }
    },
  );
  const { server, watch } = await startWatching({ silenceMs: 500 });
  const bookmarks = setInterval(() => server.bookmark(), 50).unref();
  onTestFinished(() => clearInterval(bookmarks));
  vi.unstubAllGlobals();
  const held = () => ({ ...resources(), abortListeners: getEventListeners(signals[0] as AbortSignal, "abort").length });
  const isQuiet = () => eventually(() => expect(watch.state.current).toBe(true));
  await isQuiet();
  const before = held();

  for (let i = 0; i < 23; i++) {
    server.dropConnections();
    await eventually(() => expect(watch.state.failures.closed).toBe(i + 1));
    await isQuiet();
  }
  await server.stop();
  await eventually(() => expect(watch.state.failures.refused).toBeGreaterThanOrEqual(23));
  await server.start();
  await isQuiet();
  server.hush();
  await eventually(() => expect(watch.state.failures.silent).toBeGreaterThanOrEqual(3));
  server.speak();
  await isQuiet();

  expect(await leftOver(held, before)).toEqual([]);
  expect(signals.length).toBe(1);
});

test("a watch that was stopped leaves nothing, wherever it was", async () => {
  const before = resources();
  const watching = await startWatching();
  const connected = watching.watch;
  const { watch: waiting, server } = await startWatching({ prepare: (server) => server.hush() });
  const { watch: refused, server: away } = await startWatching();
  await away.stop();
  await eventually(() =>
    expect([connected.state.current, (refused.state.failures.refused ?? 0) > 2]).toEqual([true, true]),
  );

  const never = {
    description: "an exec plugin that hangs",
    credentials: () => new Promise<never>(() => undefined),
    refused() {},
    close() {},
  };
  const { watch: asking, ended } = watchPods(never);

  for (const watch of [connected, waiting, refused, asking]) watch.stop();
  await ended;
  await watching.server.stop();
  await server.stop();

  expect(await leftOver(resources, before)).toEqual([]);
});
