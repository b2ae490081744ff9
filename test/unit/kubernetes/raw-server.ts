/**
 * An HTTP server whose answers are whatever bytes a test says: for what no API server would send.
 *
 * Until a test makes it good it misbehaves; then it has the pods a, b and c, as a watch-list or as a page.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";

export type Answering = (answer: ServerResponse, request: IncomingMessage) => void;

export interface RawServer {
  readonly url: string;
  /** Requests so far. */
  readonly requests: number;
  /** Open connections. */
  readonly sockets: number;
  /** How each request is answered from now on. */
  answer: Answering;
}

/** Ends with the test. */
export async function startRawServer(answer: Answering): Promise<RawServer> {
  const http = createServer((request, response) => {
    requests++;
    // A broken connection is what many of these tests are about.
    response.on("error", () => undefined);
    server.answer(response, request);
  });
  let requests = 0;
  let sockets = 0;
  http.on("connection", (socket) => {
    sockets++;
    socket.on("close", () => sockets--);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  onTestFinished(async () => {
    const closed = once(http, "close");
    http.close();
    http.closeAllConnections();
    await closed;
  });
  const server = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    answer,
    get requests() {
      return requests;
    },
    get sockets() {
      return sockets;
    },
  };
  return server;
}

const PODS = ["a", "b", "c"].map((name) => podObject({ name, uid: `uid-${name}`, node: "n", ips: ["10.1.0.7"] }));

export function addedLine(object: object): string {
  return `${JSON.stringify({ type: "ADDED", object })}\n`;
}

const END = {
  type: "BOOKMARK",
  object: { metadata: { resourceVersion: "23", annotations: { "k8s.io/initial-events-end": "true" } } },
};

/** The three pods as a watch-list. */
export const WATCH_LIST = `${PODS.map(addedLine).join("")}${JSON.stringify(END)}\n`;
/** The three pods as a list of one page. */
export const PAGE = JSON.stringify({ metadata: { resourceVersion: "23" }, items: PODS });
/** One of them. */
export const POD = PODS[0] as (typeof PODS)[number];

/** Behaves: a watch-list stays open, as does a watch; a list is one page. */
export function good(answer: ServerResponse, request: IncomingMessage): void {
  const query = new URL(request.url ?? "/", "http://localhost").searchParams;
  answer.writeHead(200, { "content-type": "application/json" });
  answer.flushHeaders();
  if (query.get("sendInitialEvents") === "true") answer.write(WATCH_LIST);
  else if (query.get("watch") !== "true") answer.end(PAGE);
}

/** A server that has no watch-list, and otherwise answers as `then` says. */
export function withoutWatchList(then: Answering): Answering {
  return (answer, request) => {
    if (request.url?.includes("sendInitialEvents")) answer.writeHead(422).end();
    else then(answer, request);
  };
}
