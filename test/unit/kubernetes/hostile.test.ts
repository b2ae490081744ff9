/** Answers that no API server should give: a watch neither crashes, nor stalls, nor spins, nor fills the memory. */
import type { ServerResponse } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { statusFailure } from "../../../agent/kubernetes/failure.ts";
import type { Answering } from "../../kubernetes/fake-api-server.ts";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";
import { addedLine, inTurn, PAGE, POD, startHostile, WATCH_LIST, withoutWatchList } from "./hostile-answers.ts";
import { replaceAt } from "./mutate.ts";
import { eventually, FAST, plainConnection, type Watching, watchPods } from "./watching.ts";

const MIB = 1024 * 1024;

async function start(answer: Answering, silenceMs?: number): Promise<Watching> {
  const server = await startHostile(answer);
  return { server, ...watchPods(plainConnection(server), silenceMs) };
}

/** Answers `bytes` with 200 and closes the connection after them. */
const bytesThenEnd =
  (bytes: string | Buffer): Answering =>
  (answer) => {
    answer.writeHead(200).end(bytes);
  };

describe("an answer that is cut", () => {
  test("at any byte of a watch-list costs a reconnect and no object", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(WATCH_LIST.length - 1), async (end) => {
        const { watch, pods } = await start(inTurn(bytesThenEnd(WATCH_LIST.slice(0, end))));

        await eventually(() => expect(watch.state).toMatchObject({ current: true, objects: 3 }));

        expect([pods(), watch.state.connects <= 3]).toEqual([["a", "b", "c"], true]);
      }),
      { numRuns: 60 },
    );
  });

  test("at any byte of a page costs a reconnect and no object", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(PAGE.length - 1), async (end) => {
        const { watch, pods } = await start(withoutWatchList(inTurn(bytesThenEnd(PAGE.slice(0, end)))));

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
    const { watch, pods } = await start(answering);
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
        const { watch } = await start(withoutWatchList(inTurn(answer)));

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
    const { watch, pods } = await start(amid(addedLine(future)));

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
    const { watch, pods } = await start(inTurn(endless), 1_000);

    await eventually(() => expect(watch.state).toMatchObject({ connects: 2, current: true }));

    expect(pods()).toEqual(["a", "b", "c"]);
    expect(watch.state.failures).toEqual({ silent: 1 });
    expect(peak()).toBeLessThan(MEMORY_MAX);
  });

  test("an object of 64 MiB is passed over, and the next one is not", { timeout: FLOOD_MS }, async () => {
    const { look, peak } = watchMemory();
    const sent = Promise.withResolvers<void>();
    const { watch, pods } = await start(
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
    const { watch, pods } = await start(
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
    const { watch, pods } = await start(
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

describe("a server that is slow", () => {
  /** One byte now and then, for ever. */
  const trickle = (answer: ServerResponse, byte: string) => {
    const timer = setInterval(() => answer.write(byte), 10);
    answer.on("close", () => clearInterval(timer));
  };

  test.each<[string, Answering]>([
    ["with the first byte of its answer", () => undefined],
    ["with the lines of its answer's head", (answer) => trickleHead(answer)],
    ["with each byte of a line", (answer) => trickle(answer.writeHead(200), "x")],
    ["and sends nothing but empty lines", (answer) => trickle(answer.writeHead(200), "\n")],
    ["and sends nothing but noise", (answer) => trickle(answer.writeHead(200), "{}\n")],
    ["with each byte of a page", withoutWatchList((answer) => trickle(answer.writeHead(200), " "))],
  ])("%s is left after the silence, and found again", async (_how, answering) => {
    const { server, watch, pods } = await start(answering, 100);

    await eventually(() => expect(watch.state.failures.silent).toBeGreaterThanOrEqual(2));
    server.answering = undefined;

    await eventually(() => expect(watch.state.current).toBe(true));
    expect(pods()).toEqual(["a", "b", "c"]);
    await eventually(() => expect(server.sockets).toBe(1));
  });

  function trickleHead(answer: ServerResponse): void {
    const socket = answer.socket;
    socket?.write("HTTP/1.1 200 OK\r\n");
    const timer = setInterval(() => socket?.write("a: b\r\n"), 10);
    socket?.on("close", () => clearInterval(timer));
  }

  test("with the text of an error is believed its status", async () => {
    const { watch } = await start((answer) => trickle(answer.writeHead(403), "x"), 100);

    await eventually(() => expect(watch.state.failures).toEqual({ forbidden: 2 }));
  });

  test("but keeps sending is waited for, longer than the silence", async () => {
    const [end = "", ...pods] = WATCH_LIST.trimEnd().split("\n").reverse();
    const lines = [...Array.from({ length: 24 }, (_, i) => pods[i % pods.length]), end];
    const { watch, told } = await start((answer) => {
      answer.writeHead(200);
      const timer = setInterval(() => answer.write(`${lines.shift() ?? clearInterval(timer)}\n`), 60);
    }, 1_000);

    await eventually(() => expect(watch.state.current).toBe(true));

    expect(told.length).toBe(25);
    expect(watch.state).toMatchObject({ connects: 1, failures: {} });
  });
});

describe("a server that does the same wrong thing every time", () => {
  const status =
    (code: number, headers = {}): Answering =>
    (answer) => {
      answer.writeHead(code, headers).end("no");
    };
  const event = (object: object) => bytesThenEnd(`${WATCH_LIST}${JSON.stringify(object)}\n`);
  const WRONG: [string, Answering][] = [
    ["closes each connection", (answer) => answer.destroy()],
    ["resets each connection", (answer) => answer.socket?.resetAndDestroy()],
    ["speaks no HTTP", (answer) => answer.socket?.end("SSH-2.0-OpenSSH\r\n\r\n")],
    ["says nothing in its answer", bytesThenEnd("")],
    ["ends after the list", bytesThenEnd(WATCH_LIST)],
    ["says that history is gone", event({ type: "ERROR", object: { code: 410 } })],
    ["says an error without a code", event({ type: "ERROR" })],
    ["redirects", status(302, { location: "http://192.0.2.1/" })],
    ["answers 204", status(204)],
    ["answers 400", status(400)],
    ["answers 401", status(401)],
    ["answers 403", status(403)],
    ["answers 404", status(404)],
    ["answers 410", status(410)],
    ["answers 500", status(500)],
    ["asks to come back at once", status(429, { "retry-after": "0" })],
    ["lists no version", withoutWatchList(bytesThenEnd('{"items":[]}'))],
    ["lists what is no list", withoutWatchList(bytesThenEnd('{"items":{}}'))],
    ["lists a page of nothing", withoutWatchList(bytesThenEnd(""))],
  ];

  test.each(WRONG)("%s: it is asked ever more slowly, and found again", async (_what, answering) => {
    const { server, watch, pods } = await start(answering);
    await eventually(() => expect(server.requests.length).toBeGreaterThanOrEqual(5));
    const before = server.requests.length;
    const startedMs = performance.now();

    await eventually(() => expect(server.requests.length).toBeGreaterThanOrEqual(before + 10));
    const asked = server.requests.length - before;
    const tookMs = performance.now() - startedMs;
    server.answering = undefined;

    await eventually(() => expect(watch.state.current).toBe(true));
    expect(pods()).toEqual(["a", "b", "c"]);
    // At least half of the longest wait lies before each session, which has two requests at most.
    expect(asked).toBeLessThanOrEqual(2 + (2 * tookMs) / (FAST.maxMs / 2));
    await eventually(() => expect(server.sockets).toBe(1));
  });

  test("a list without an end is given up", async () => {
    let pages = 0;
    const { server, watch } = await start(
      withoutWatchList((answer) => {
        answer.writeHead(200).end(`{"metadata":{"continue":"${++pages}"},"items":[]}`);
      }),
      20_000,
    );

    await expect.poll(() => watch.state.failures.malformed, { timeout: 40_000, interval: 20 }).toBe(1);
    server.answering = undefined;

    await eventually(() => expect(watch.state.current).toBe(true));
  }, 60_000);
});

test("a server that asks to come back tomorrow is asked again in two minutes", () => {
  expect(statusFailure(503, "busy", "86400").retryAfterMs).toBe(120_000);
});
