/** Servers that are slow, or do the same wrong thing every time: a watch leaves them, asks ever more slowly, and finds them again. */
import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { statusFailure } from "../../../agent/kubernetes/failure.ts";
import type { Answering } from "../../kubernetes/fake-api-server.ts";
import { bytesThenEnd, WATCH_LIST, watchHostile, withoutWatchList } from "./hostile-answers.ts";
import { eventually, FAST } from "./watching.ts";

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
    const { server, watch, pods } = await watchHostile(answering, 100);

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
    const { watch } = await watchHostile((answer) => trickle(answer.writeHead(403), "x"), 100);

    await eventually(() => expect(watch.state.failures).toEqual({ forbidden: 2 }));
  });

  test("but keeps sending is waited for, longer than the silence", async () => {
    const [end = "", ...pods] = WATCH_LIST.trimEnd().split("\n").reverse();
    const lines = [...Array.from({ length: 24 }, (_, i) => pods[i % pods.length]), end];
    const { watch, told } = await watchHostile((answer) => {
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
    const { server, watch, pods } = await watchHostile(answering);
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
    const { server, watch } = await watchHostile(
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
