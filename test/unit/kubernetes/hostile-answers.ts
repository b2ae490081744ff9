/**
 * A server whose answers are whatever bytes a test says: for what no API server would send. When it behaves, it has the
 * pods a, b and c, and is at version 23.
 */
import { onTestFinished } from "vitest";
import { bookmark } from "../../kubernetes/api-objects.ts";
import { type Answering, FakeApiServer } from "../../kubernetes/fake-api-server.ts";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";
import { plainConnection, type Watching, watchPods } from "./watching.ts";

const PODS = ["a", "b", "c"].map((name) => podObject({ name, uid: `uid-${name}`, node: "n", ips: ["10.1.0.7"] }));
const VERSION = 23;

/** Ends with the test. */
export async function startHostile(answering: Answering): Promise<FakeApiServer> {
  const server = new FakeApiServer({ firstVersion: VERSION - PODS.length });
  for (const pod of PODS) server.put(pod);
  server.answering = answering;
  await server.start();
  onTestFinished(() => server.stop());
  return server;
}

/** A server that answers so, and a watch of its pods; both end with the test. */
export async function watchHostile(answer: Answering, silenceMs?: number): Promise<Watching> {
  const server = await startHostile(answer);
  return { server, ...watchPods(plainConnection(server), silenceMs) };
}

/** Answers `bytes` with 200 and closes the connection after them. */
export const bytesThenEnd =
  (bytes: string | Buffer): Answering =>
  (answer) => {
    answer.writeHead(200).end(bytes);
  };

export function addedLine(object: object): string {
  return `${JSON.stringify({ type: "ADDED", object })}\n`;
}

/** The three pods as a watch-list. */
export const WATCH_LIST = `${PODS.map(addedLine).join("")}${JSON.stringify(bookmark("Pod", VERSION, true))}\n`;
/** The three pods as a list of one page. */
export const PAGE = JSON.stringify({ metadata: { resourceVersion: String(VERSION) }, items: PODS });
/** One of them. */
export const POD = PODS[0] as (typeof PODS)[number];

/** Each of them once; then the server behaves. */
export function inTurn(...answers: Answering[]): Answering {
  return (answer, request, behave) => {
    const next = answers.shift();
    if (next === undefined) behave();
    else next(answer, request, behave);
  };
}

/** A server that has no watch-list, and otherwise answers as `then` says. */
export function withoutWatchList(then: Answering): Answering {
  return (answer, request, behave) => {
    if (request.url?.includes("sendInitialEvents")) answer.writeHead(422).end();
    else then(answer, request, behave);
  };
}
