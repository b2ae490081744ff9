/**
 * The one fake of the Kubernetes API server: list, watch and watch-list over HTTP or TLS, of objects that a test puts into
 * it, or that are made as they are sent. It keeps who asked for what.
 *
 * It answers as the real one does in what agents rely on (order of events, bookmarks, the end of initial events, pages, 410
 * after compaction, 401) and misbehaves on demand, down to the bytes of its answers (`answering`). It knows nothing of
 * validation, defaults or access rules: what those say is tested against the real one (test/e2e/kubernetes.test.ts).
 */
import { once } from "node:events";
import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { ApiObjects, bookmark, type Change, eventOf, type Listing, type Selector, selectorOf } from "./api-objects.ts";
import { addedOf, eachOf, listOf, stream } from "./api-stream.ts";
import type { ApiObject } from "./kubernetes-objects.ts";

const PATHS: Readonly<Record<string, readonly [apiVersion: string, kind: string]>> = {
  "/api/v1/pods": ["v1", "Pod"],
  "/api/v1/services": ["v1", "Service"],
  "/api/v1/nodes": ["v1", "Node"],
  "/api/v1/namespaces": ["v1", "Namespace"],
  "/apis/discovery.k8s.io/v1/endpointslices": ["discovery.k8s.io/v1", "EndpointSlice"],
};

export interface FakeApiServerOptions {
  /** Listen address and port; a free port of 127.0.0.1 by default. */
  readonly host?: string;
  readonly port?: number;
  /** PEM. With it the server speaks TLS and asks for a client's certificate, without checking it. */
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer; readonly ca?: Buffer };
  /** Version before the first object is put. */
  readonly firstVersion?: number;
  /** All objects of a kind, instead of those that were put: for more than a process would hold. */
  readonly generated?: (kind: string) => Listing;
}

/** One request as it came, and who sent it. */
export interface SeenRequest {
  /** With its query, as it was written. */
  readonly url: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Authorization and Impersonate-*, in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The common name of the client's certificate. */
  readonly client: string | undefined;
  /** The name that a TLS client wanted to reach. */
  readonly serverName: string | undefined;
}

/** Answers a request in place of the server; `behave` answers it as the server would. */
export type Answering = (answer: ServerResponse, request: IncomingMessage, behave: () => void) => void;

/** The same answer to everything. */
export function fixedAnswer(status: number, body: string): Answering {
  return (answer) => answer.writeHead(status, { "content-type": "application/json" }).end(body);
}

interface Watcher {
  readonly kind: string;
  readonly selector: Selector;
  readonly answer: ServerResponse;
}

export class FakeApiServer {
  /** Whether it knows watch-list, as servers from 1.32 on do. */
  watchList = true;
  /** The only token that is let in; undefined lets everybody in. */
  token: string | undefined;
  /** Status and headers of the next answers, taken from the front. */
  readonly nextAnswers: { readonly status: number; readonly headers?: Readonly<Record<string, string>> }[] = [];
  /** Answers every request from now on. */
  answering: Answering | undefined;
  readonly requests: SeenRequest[] = [];
  readonly #options: FakeApiServerOptions;
  readonly #objects: ApiObjects;
  readonly #watchers = new Set<Watcher>();
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] | undefined;
  #server: Server | undefined;
  #port: number;

  constructor(options: FakeApiServerOptions = {}) {
    this.#options = options;
    this.#objects = new ApiObjects(options.firstVersion ?? 100);
    this.#port = options.port ?? 0;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    const scheme = this.#options.tls === undefined ? "http" : "https";
    return `${scheme}://${this.#options.host ?? "127.0.0.1"}:${this.#port}`;
  }

  /** Open watches. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Open connections. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** A kubeconfig whose current context is this server. No credentials: without TLS none would be sent. */
  kubeconfig(): string {
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "fake", cluster: { server: this.url } }],
      contexts: [{ name: "fake", context: { cluster: "fake" } }],
      "current-context": "fake",
    });
  }

  /** Listens; after `stop`, on the same port again. */
  async start(): Promise<void> {
    const take = (request: IncomingMessage, answer: ServerResponse) => this.#take(request, answer);
    const { tls, host = "127.0.0.1" } = this.#options;
    const server =
      tls === undefined
        ? createHttp(take)
        : createHttps({ ...tls, requestCert: true, rejectUnauthorized: false }, take);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      // A broken connection is what many tests are about.
      socket.on("error", () => socket.destroy());
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("tlsClientError", () => undefined);
    server.listen(this.#port, host);
    await once(server, "listening");
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Stops listening and breaks all connections. Objects stay. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    this.dropConnections();
    await closed;
  }

  /** Breaks all connections; new ones are welcome. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends all watches the regular way, as the server does when their time is over. */
  endWatches(): void {
    for (const { answer } of this.#watchers) answer.end();
  }

  /** From now on nothing is answered and nothing is said, until `speak`. */
  hush(): void {
    this.#held ??= [];
  }

  speak(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const say of held) say();
  }

  /** Forgets all history: a watch from an earlier version gets 410. */
  compact(): void {
    this.#objects.compact();
  }

  /** Creates the object or replaces it; a missing uid, creation time or the like is filled in. */
  put(object: ApiObject): ApiObject {
    const change = this.#objects.put(object);
    this.#tell(change);
    return change.after;
  }

  /** @param name of an object of `kind`; nothing happens when there is none */
  delete(kind: string, name: string, namespace?: string): void {
    const change = this.#objects.delete(kind, name, namespace);
    if (change) this.#tell(change);
  }

  /** Says to all watches how far they are. */
  bookmark(): void {
    for (const watcher of this.#watchers) this.#write(watcher, bookmark(watcher.kind, this.#objects.version, false));
  }

  /** Writes bytes as they are into every watch of `kind`. */
  writeRaw(kind: string, text: string): void {
    for (const { kind: watched, answer } of this.#watchers) if (watched === kind) answer.write(text);
  }

  #tell(change: Change): void {
    for (const watcher of this.#watchers) this.#write(watcher, eventOf(change, watcher.kind, watcher.selector));
  }

  #write({ answer }: Watcher, event: object | undefined): void {
    if (!event) return;
    const line = `${JSON.stringify(event)}\n`;
    if (this.#held) this.#held.push(() => answer.write(line));
    else answer.write(line);
  }

  #take(request: IncomingMessage, answer: ServerResponse): void {
    if (this.#held) {
      this.#held.push(() => this.#take(request, answer));
      return;
    }
    answer.on("error", () => undefined);
    const seen = seenOf(request);
    this.requests.push(seen);
    const behave = () => this.#behave(request, seen, answer);
    if (this.answering === undefined) behave();
    else this.answering(answer, request, behave);
  }

  #behave(request: IncomingMessage, { path, query }: SeenRequest, answer: ServerResponse): void {
    try {
      this.#admit(request);
      const [apiVersion, kind] = PATHS[path] ?? refuse(404, "the server has no such resource");
      if (query.watch === "true") this.#watch(kind, query, answer);
      else this.#list(apiVersion, kind, query, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, message, headers } = error;
      answer.writeHead(status, { "content-type": "application/json", ...headers });
      answer.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", message, code: status }));
    }
  }

  #admit(request: IncomingMessage): void {
    const next = this.nextAnswers.shift();
    if (next) refuse(next.status, "as the test asked", next.headers);
    if (this.token === undefined || request.headers.authorization === `Bearer ${this.token}`) return;
    refuse(401, "Unauthorized");
  }

  #list(apiVersion: string, kind: string, query: SeenRequest["query"], answer: ServerResponse): void {
    const all = this.#select(kind, query);
    const [from = 0, version = this.#objects.version] = (query.continue ?? "").split("@").filter(Boolean).map(Number);
    if (version < this.#objects.compactedTo) refuse(410, "the continue token is too old");
    const end = Math.min(all.length, from + Number(query.limit ?? Infinity));
    const next = end < all.length ? { continue: `${end}@${version}` } : {};
    const head = { kind: `${kind}List`, apiVersion, metadata: { resourceVersion: String(version), ...next } };
    answer.writeHead(200, { "content-type": "application/json" });
    void stream(answer, listOf(head, all, from, end)).then(() => answer.end());
  }

  #watch(kind: string, query: SeenRequest["query"], answer: ServerResponse): void {
    const initial = query.sendInitialEvents === "true";
    if (initial && !this.watchList)
      refuse(422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
    const watcher = { kind, selector: selectorOf(query.fieldSelector ?? "") ?? (() => true), answer };
    const { version, compactedTo } = this.#objects;
    answer.writeHead(200, { "content-type": "application/json" });
    answer.flushHeaders();
    const from = Number(query.resourceVersion ?? 0);
    if (initial) {
      const objects = this.#select(kind, query);
      void stream(answer, addedOf(objects, kind, version)).then(() => this.#follow(watcher, version));
    } else if (from < compactedTo) {
      const message = `too old resource version: ${from} (${compactedTo})`;
      this.#write(watcher, { type: "ERROR", object: { kind: "Status", status: "Failure", code: 410, message } });
      answer.end();
    } else this.#follow(watcher, from);
  }

  /** Says what has changed after a version, and what changes from now on. */
  #follow(watcher: Watcher, version: number): void {
    const { kind, selector, answer } = watcher;
    if (answer.destroyed) return;
    for (const change of this.#objects.since(version)) this.#write(watcher, eventOf(change, kind, selector));
    this.#watchers.add(watcher);
    answer.on("close", () => this.#watchers.delete(watcher));
  }

  #select(kind: string, query: SeenRequest["query"]): Listing {
    const selector = selectorOf(query.fieldSelector ?? "");
    const generated = this.#options.generated?.(kind);
    if (generated === undefined) return this.#objects.list(kind, selector ?? (() => true));
    return selector === undefined ? generated : [...eachOf(generated)].filter(selector);
  }
}

const OF_THE_CLIENT = /^(authorization|impersonate-.*)$/i;

function seenOf({ rawHeaders, socket, url = "/" }: IncomingMessage): SeenRequest {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase();
    const value = rawHeaders[i + 1] ?? "";
    if (OF_THE_CLIENT.test(name)) headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  const tls = "getPeerCertificate" in socket ? (socket as TLSSocket) : undefined;
  const client = tls?.getPeerCertificate().subject?.CN?.toString();
  const { pathname: path, searchParams } = new URL(url, "http://localhost");
  return {
    url,
    path,
    query: Object.fromEntries(searchParams),
    headers,
    client,
    serverName: tls?.servername || undefined,
  };
}

function refuse(status: number, message: string, headers: Readonly<Record<string, string>> = {}): never {
  throw new Refusal(status, message, headers);
}

/** An answer other than 200. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>>) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}
