/** Answers that no API server should give: a watch neither crashes, nor stalls, nor spins, nor fills the memory. */
import type { ServerResponse } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Answering } from "../../kubernetes/fake-api-server.ts";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";
import {
  addedLine,
  bytesThenEnd,
  inTurn,
  PAGE,
  POD,
  WATCH_LIST,
  watchHostile,
  withoutWatchList,
} from "./hostile-answers.ts";
import { replaceAt } from "./mutate.ts";
import { eventually } from "./watching.ts";

const MIB = 1024 * 1024;

describe("an answer that is cut", () => {
  test("at any byte of a watch-list costs a reconnect and no object", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(WATCH_LIST.length - 1), async (end) => {
        const { watch, pods } = await watchHostile(inTurn(bytesThenEnd(WATCH_LIST.slice(0, end))));

        await eventually(() => expect(watch.state).toMatchObject({ current: true, objects: 3 }));

        expect([pods(), watch.state.connects <= 3]).toEqual([["a", "b", "c"], true]);
      }),
      { numRuns: 60 },
    );
  });

  test("at any byte of a page costs a reconnect and no object", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(PAGE.length - 1), async (end) => {
        const { watch, pods } = await watchHostile(withoutWatchList(inTurn(bytesThenEnd(PAGE.slice(0, end)))));

        await eventually(() => expect(watch.state).toMatchObject({ current: true, objects: 3 }));

        expect([pods(), watch.state.connects]).toEqual([["a", "b", "c"], 4]);
      }),
      { numRuns: 60 },
    );
  });
});

describe("an answer with a wrong part", () => {
  /** A good watch-list, these bytes, then one more pod: what comes after nonsense still counts. */
  const amid = (bytes: string | Buffer): Answering =>
    inTurn((answer) => {
      answer.writeHead(200);
      answer.write(WATCH_LIST);
      answer.write(bytes);
      answer.write(`\n${addedLine(podObject({ name: "last", uid: "uid-last" }))}`);
    });
  const settles = async (answering: Answering) => {
    const { watch, pods } = await watchHostile(answering);
    // The nonsense may have been an error, after which the list comes anew, without the last pod.
    await eventually(() => expect(pods().includes("last") || watch.state.connects > 1).toBe(true));
    await eventually(() => expect(watch.state.current).toBe(true));
  };

  test("of any type at any place is passed over", async () => {
    const event = { type: "MODIFIED", object: POD };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(23), { maxLength: 6 }), fc.jsonValue(), (path, by) =>
        settles(amid(JSON.stringify(replaceAt(event, path, by)))),
      ),
      { numRuns: 100 },
    );
  });

  test("of any type at any place of a page gives a list or a new one", async () => {
    const page = JSON.parse(PAGE) as object;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(23), { maxLength: 6 }), fc.jsonValue(), async (path, by) => {
        const answer = bytesThenEnd(JSON.stringify(replaceAt(page, path, by)));
        const { watch } = await watchHostile(withoutWatchList(inTurn(answer)));

        await eventually(() => expect(watch.state.current).toBe(true));
      }),
      { numRuns: 60 },
    );
  });

  test("of any bytes is passed over", async () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
    await fc.assert(
      fc.asyncProperty(bytes, (noise) => settles(amid(noise))),
      { numRuns: 60 },
    );
  });

  test("that is not known leaves the rest as it is", async () => {
    const future = { ...POD, metadata: { ...POD.metadata, name: "new", future: { deep: [1] } }, future: true };
    const { watch, pods } = await watchHostile(amid(addedLine(future)));

    await eventually(() => expect(pods()).toEqual(["b", "c", "last", "new"]));

    expect(watch.state).toMatchObject({ connects: 1, unreadable: 0 });
  });
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What this process holds, server and watch together, above what it held before; `look` keeps the most. */
function watchMemory(): { look(): void; peak(): number } {
  const held = () => {
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = held();
  let most = before;
  const look = () => {
    most = Math.max(most, held());
  };
  return { look, peak: () => most - before };
}

const LOOK_EVERY = 4 * MIB;

/** Writes as fast as the reader takes it, and looks at the memory as it goes. */
async function flood(answer: ServerResponse, chunk: Buffer, times: number, look: () => void): Promise<void> {
  let unseen = 0;
  for (let i = 0; i < times && !answer.destroyed; i++) {
    unseen += chunk.length;
    if (unseen >= LOOK_EVERY) look();
    unseen %= LOOK_EVERY;
    if (answer.write(chunk)) continue;
    const { promise, resolve } = Promise.withResolvers<void>();
    answer.once("drain", resolve);
    answer.once("close", resolve);
    await promise;
    answer.off("drain", resolve);
    answer.off("close", resolve);
  }
}

/** The time that a test has while its reader goes on: a machine that is busy makes it long. */
const FLOOD_MS = 60_000;

describe("an answer that is too much", () => {
  const JUNK = Buffer.alloc(256 * 1024, "x");
  const FLOOD = 64 * MIB;
  /** What is read goes on into the next line or object: a few of the largest that are kept. */
  const MEMORY_MAX = FLOOD / 2;

  test("a line without an end is left for a new connection, and takes no memory", async () => {
    const { look, peak } = watchMemory();
    const endless = (answer: ServerResponse) => {
      answer.writeHead(200);
      answer.write(WATCH_LIST);
      void flood(answer, JUNK, Infinity, look);
    };
    const { watch, pods } = await watchHostile(inTurn(endless), 1_000);

    await eventually(() => expect(watch.state).toMatchObject({ connects: 2, current: true }));

    expect(pods()).toEqual(["a", "b", "c"]);
    expect(watch.state.failures).toEqual({ silent: 1 });
    expect(peak()).toBeLessThan(MEMORY_MAX);
  });

  test("an object of 64 MiB is passed over, and the next one is not", { timeout: FLOOD_MS }, async () => {
    const { look, peak } = watchMemory();
    const sent = Promise.withResolvers<void>();
    const { watch, pods } = await watchHostile(
      inTurn(async (answer) => {
        answer.writeHead(200);
        answer.write(`${WATCH_LIST}{"type":"ADDED","object":{"metadata":{"name":"`);
        await flood(answer, JUNK, FLOOD / JUNK.length, look);
        answer.write(`"}}}\n${addedLine(podObject({ name: "last", uid: "uid-last" }))}`);
        sent.resolve();
      }),
    );

    await sent.promise;
    await eventually(() => expect(pods()).toEqual(["a", "b", "c", "last"]));

    expect(watch.state.connects).toBe(1);
    expect(peak()).toBeLessThan(MEMORY_MAX);
  });

  test.each([
    { what: "arrays", open: "[", close: "]" },
    { what: "objects", open: '{"a":', close: "}" },
  ])("$what nested a million deep are passed over", async ({ open, close }) => {
    const depth = Math.floor((3 * MIB) / (open.length + close.length));
    const nested = `${open.repeat(depth)}${open === "[" ? "" : 0}${close.repeat(depth)}`;
    const { watch, pods } = await watchHostile(
      inTurn((answer) => {
        answer.writeHead(200);
        answer.write(WATCH_LIST);
        for (let i = 0; i < 8; i++) answer.write(`{"type":"ERROR","object":{"code":${nested}}}\n`);
        answer.write(addedLine(podObject({ name: "last", uid: "uid-last" })));
      }),
    );

    await eventually(() => expect(pods()).toEqual(["a", "b", "c", "last"]));

    expect(watch.state).toMatchObject({ connects: 1, unreadable: 8 });
  });

  test("a page of 64 MiB is read object by object, and one too large is passed over", {
    timeout: FLOOD_MS,
  }, async () => {
    const { look, peak } = watchMemory();
    const sent = Promise.withResolvers<void>();
    const item = (name: string, bytes: number) =>
      Buffer.from(`${JSON.stringify(podObject({ name, uid: name, annotations: { large: "x".repeat(bytes) } }))},`);
    const [large, tooLarge] = [item("large", MIB), item("too-large", 5 * MIB)];
    const { watch, pods } = await watchHostile(
      withoutWatchList(
        inTurn(async (answer) => {
          answer.writeHead(200);
          answer.write('{"kind":"PodList","items":[');
          answer.write(tooLarge);
          await flood(answer, large, FLOOD / MIB, look);
          answer.end(`${item("last", 1).toString().slice(0, -1)}],"metadata":{"resourceVersion":"23"}}`);
          sent.resolve();
        }),
      ),
    );

    await sent.promise;
    await eventually(() => expect(watch.state.current).toBe(true));

    expect(pods()).toEqual(["large", "last"]);
    expect(watch.state).toMatchObject({ connects: 3, lists: 2, failures: {}, unreadable: 1 });
    expect(peak()).toBeLessThan(MEMORY_MAX);
  });
});
