/**
 * The agent's admin socket: small HTTP for `flowspan top`, `flowspan doctor` and a kubelet's probes.
 *
 *   GET /healthz  is it alive        GET /edges   every live edge (Unix socket only)
 *   GET /readyz   does data flow     GET /status  versions, settings, losses, exports
 *
 * Reads only; nothing can be changed through it. The Unix socket's mode (0660) says who may look.
 */
import { chmodSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type ListenOptions } from "node:net";
import { dirname } from "node:path";
import { liveness, readiness, type Vitals } from "./health.ts";

/** What the server asks the agent for, at the moment of each request. */
export interface AdminAnswers {
  vitals(): Vitals;
  edges(): object;
  status(): object;
}

export interface AdminOptions {
  readonly socket: string;
  /** `HOST:PORT` for health and status over TCP. */
  readonly address?: string | undefined;
  readonly answers: AdminAnswers;
}

export interface Admin {
  /** The TCP port that was taken, where one was asked for. */
  readonly port: number | undefined;
  close(): Promise<void>;
}

/**
 * Listens.
 *
 * @throws Error that says so when another agent answers on the socket, or an address cannot be had
 */
export async function startAdmin({ socket, address, answers }: AdminOptions): Promise<Admin> {
  mkdirSync(dirname(socket), { recursive: true });
  if (await answersOn(socket))
    throw new Error(`another agent answers on ${socket}: stop it, or choose another admin.socket`);
  removeStale(socket);

  const local = createServer((request, response) => answer(request, response, answers, true));
  await listen(local, { path: socket });
  chmodSync(socket, 0o660);

  let remote: Server | undefined;
  if (address !== undefined) {
    remote = createServer((request, response) => answer(request, response, answers, false));
    try {
      await listen(remote, listenOptions(address));
    } catch (error) {
      await close(local);
      throw error;
    }
  }
  const bound = remote?.address();
  return {
    port: typeof bound === "object" ? bound?.port : undefined,
    async close() {
      await Promise.all([close(local), remote === undefined ? undefined : close(remote)]);
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, answers: AdminAnswers, local: boolean): void {
  const [status, body] = request.method === "GET" ? answerTo(request.url ?? "", answers, local) : ONLY_GET;
  send(response, status, body);
}

const ONLY_GET: [number, object] = [405, { error: "only GET" }];

function answerTo(url: string, answers: AdminAnswers, local: boolean): [status: number, body: object] {
  const path = url.split("?")[0];
  if (path === "/healthz" || path === "/readyz") {
    const health = path === "/healthz" ? liveness(answers.vitals()) : readiness(answers.vitals());
    return [health.ok ? 200 : 503, health];
  }
  if (path === "/status") return [200, answers.status()];
  if (path === "/edges" && local) return [200, answers.edges()];
  if (path === "/edges") return [403, { error: "edges are shown on the Unix socket only" }];
  return [404, { error: "try /healthz, /readyz, /status or /edges" }];
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body, (_, value) => (typeof value === "bigint" ? String(value) : value));
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(`${text}\n`);
}

/** True when somebody accepts a connection there. */
export function answersOn(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const attempt = connect(socket);
    attempt.once("connect", () => {
      attempt.destroy();
      resolve(true);
    });
    attempt.once("error", () => resolve(false)); // nobody there: the only thing that is asked
  });
}

function removeStale(socket: string): void {
  try {
    unlinkSync(socket);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function listenOptions(address: string): ListenOptions {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(colon + 1));
  return host === "" ? { port } : { host, port };
}

function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
