/**
 * A small stand-in for the Kubernetes API server: list, watch and watch-list over plain HTTP, from objects
 * that a test or the lab sets.
 *
 * It answers as the real one does in what agents rely on (order of events, bookmarks, the end of initial
 * events, pages, 410 after compaction, 401) and misbehaves on demand. It knows nothing of validation,
 * defaults or access rules: what those say is tested against the real one (test/e2e/kubernetes.test.ts).
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ApiObject } from "./kubernetes-objects.ts";

const PATHS = {
  "/api/v1/pods": "Pod",
  "/api/v1/services": "Service",
  "/api/v1/nodes": "Node",
  "/api/v1/namespaces": "Namespace",
  "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
} as const;

export interface StandInOptions {
  /** Listen address and port; a free port of 127.0.0.1 by default. */
  readonly host?: string;
  readonly port?: number;
}

/** One request as it came. */
export interface SeenRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

interface Fact {
  readonly version: number;
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
}

interface Watcher {
  readonly kind: string;
  readonly selector: Selector;
  readonly answer: ServerResponse;
}

type Selector = (object: ApiObject) => boolean;

export class ApiServerStandIn {
  /** Whether it knows watch-list, as servers from 1.32 on do. */
  watchList = true;
  /** The only token that is let in; undefined lets everybody in. */
  token: string | undefined;
  /** Status and headers of the next answers, taken from the front. */
  readonly nextAnswers: { readonly status: number; readonly headers?: Readonly<Record<string, string>> }[] = [];
  readonly requests: SeenRequest[] = [];
  readonly #options: StandInOptions;
  readonly #objects = new Map<string, ApiObject>();
  readonly #watchers = new Set<Watcher>();
  #history: Fact[] = [];
  #version = 100;
  #compactedTo = 100;
  #held: (() => void)[] | undefined;
  #server: Server | undefined;
  #port = 0;

  constructor(options: StandInOptions = {}) {
    this.#options = options;
    this.#port = options.port ?? 0;
  }

  get url(): string {
    return `http://${this.#options.host ?? "127.0.0.1"}:${this.#port}`;
  }

  /** Open watches. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** A kubeconfig whose current context is this server. No credentials: without TLS none would be sent. */
  kubeconfig(): string {
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "stand-in", cluster: { server: this.url } }],
      contexts: [{ name: "stand-in", context: { cluster: "stand-in" } }],
      "current-context": "stand-in",
    });
  }

  /** Listens; after `stop`, on the same port again. */
  async start(): Promise<void> {
    const server = createServer((request, answer) => this.#answer(request, answer));
    server.listen(this.#port, this.#options.host ?? "127.0.0.1");
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
    server.closeAllConnections();
    await closed;
  }

  /** Breaks all connections; new ones are welcome. */
  dropConnections(): void {
    this.#server?.closeAllConnections();
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
    this.#history = [];
    this.#compactedTo = ++this.#version;
  }

  /** Creates the object or replaces it; a missing uid, creation time or the like is filled in. */
  put(object: ApiObject): ApiObject {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    const after: ApiObject = {
      ...object,
      metadata: {
        uid: before?.metadata.uid ?? randomUUID(),
        creationTimestamp: before?.metadata.creationTimestamp ?? new Date().toISOString(),
        ...object.metadata,
        resourceVersion: String(++this.#version),
      },
    };
    this.#objects.set(key, after);
    this.#tell({ version: this.#version, before, after });
    return after;
  }

  /** @param name of an object of `kind`; nothing happens when there is none */
  delete(kind: string, name: string, namespace?: string): void {
    const key = [kind, namespace ?? "", name].join("/");
    const before = this.#objects.get(key);
    if (!before) return;
    this.#objects.delete(key);
    const metadata = { ...before.metadata, resourceVersion: String(++this.#version) };
    this.#tell({ version: this.#version, before: { ...before, metadata }, after: undefined });
  }

  /** Says to all watches how far they are. */
  bookmark(): void {
    for (const watcher of this.#watchers) this.#write(watcher, bookmark(watcher.kind, this.#version, false));
  }

  /** Writes bytes as they are into every watch of `kind`. */
  writeRaw(kind: string, text: string): void {
    for (const { kind: watched, answer } of this.#watchers) if (watched === kind) answer.write(text);
  }

  #tell(fact: Fact): void {
    this.#history.push(fact);
    for (const watcher of this.#watchers) this.#write(watcher, eventOf(fact, watcher));
  }

  #write({ answer }: Watcher, event: object | undefined): void {
    if (!event) return;
    const line = `${JSON.stringify(event)}\n`;
    if (this.#held) this.#held.push(() => answer.write(line));
    else answer.write(line);
  }

  #answer(request: IncomingMessage, answer: ServerResponse): void {
    if (this.#held) {
      this.#held.push(() => this.#answer(request, answer));
      return;
    }
    const url = new URL(request.url ?? "/", this.url);
    const query = Object.fromEntries(url.searchParams);
    this.requests.push({ path: url.pathname, query });
    try {
      this.#admit(request);
      const kind = kindAt(url.pathname);
      const selector = selectorOf(query.fieldSelector ?? "");
      if (query.watch === "true") this.#watch(kind, selector, query, answer);
      else this.#list(kind, selector, query, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, message, headers } = error;
      answer.writeHead(status, { "content-type": "application/json", ...headers });
      answer.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", message, code: status }));
    }
  }

  #admit(request: IncomingMessage): void {
    const next = this.nextAnswers.shift();
    if (next) throw new Refusal(next.status, "as the test asked", next.headers);
    if (this.token === undefined || request.headers.authorization === `Bearer ${this.token}`) return;
    throw new Refusal(401, "Unauthorized");
  }

  #list(kind: string, selector: Selector, query: Readonly<Record<string, string>>, answer: ServerResponse): void {
    const all = this.#select(kind, selector);
    const [offset = 0, version = this.#version] = (query.continue ?? "").split("@").filter(Boolean).map(Number);
    if (version < this.#compactedTo) throw new Refusal(410, "the continue token is too old");
    const end = offset + Number(query.limit ?? Infinity);
    const more = end < all.length;
    answer.writeHead(200, { "content-type": "application/json" });
    answer.end(
      JSON.stringify({
        kind: `${kind}List`,
        metadata: { resourceVersion: String(version), ...(more ? { continue: `${end}@${version}` } : {}) },
        items: all.slice(offset, end),
      }),
    );
  }

  #watch(kind: string, selector: Selector, query: Readonly<Record<string, string>>, answer: ServerResponse): void {
    const initial = query.sendInitialEvents === "true";
    if (initial && !this.watchList) {
      throw new Refusal(422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
    }
    const watcher = { kind, selector, answer };
    answer.writeHead(200, { "content-type": "application/json" });
    answer.flushHeaders();
    const from = Number(query.resourceVersion ?? 0);
    if (!initial && from < this.#compactedTo) {
      const message = `too old resource version: ${from} (${this.#compactedTo})`;
      this.#write(watcher, { type: "ERROR", object: { kind: "Status", status: "Failure", code: 410, message } });
      answer.end();
      return;
    }
    if (initial) {
      for (const object of this.#select(kind, selector)) this.#write(watcher, { type: "ADDED", object });
      this.#write(watcher, bookmark(kind, this.#version, true));
    } else {
      for (const fact of this.#history) if (fact.version > from) this.#write(watcher, eventOf(fact, watcher));
    }
    this.#watchers.add(watcher);
    answer.on("close", () => this.#watchers.delete(watcher));
  }

  #select(kind: string, selector: Selector): ApiObject[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind && selector(object));
  }
}

function keyOf({ kind, metadata }: ApiObject): string {
  return [kind, metadata.namespace ?? "", metadata.name].join("/");
}

/** What a watch with a selector sees of a fact: an object may move into its view or out of it. */
function eventOf({ version, before, after }: Fact, { kind, selector }: Watcher): object | undefined {
  if ((after ?? before)?.kind !== kind) return undefined;
  const seenBefore = before !== undefined && selector(before);
  if (after !== undefined && selector(after)) return { type: seenBefore ? "MODIFIED" : "ADDED", object: after };
  if (!seenBefore) return undefined;
  return { type: "DELETED", object: { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } } };
}

function bookmark(kind: string, version: number, initialEventsEnd: boolean): object {
  const annotations = initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
  return { type: "BOOKMARK", object: { kind, metadata: { resourceVersion: String(version), ...annotations } } };
}

function selectorOf(fieldSelector: string): Selector {
  const [field, value] = fieldSelector.split("=");
  if (field === "spec.nodeName")
    return (object) => (object.spec as { nodeName?: string } | undefined)?.nodeName === value;
  if (field === "metadata.name") return (object) => object.metadata.name === value;
  return () => true;
}

function kindAt(path: string): string {
  if (!Object.hasOwn(PATHS, path)) throw new Refusal(404, "the server has no such resource");
  return PATHS[path as keyof typeof PATHS];
}

/** An answer other than 200. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}
