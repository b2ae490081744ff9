/**
 * The agent's admin socket: small HTTP for `flowspan top`, `flowspan doctor` and a kubelet's probes.
 *
 *   Unix socket and TCP              Unix socket only
 *   GET /healthz  is it alive        GET /edges   every live edge
 *   GET /readyz   does data flow     GET /status  versions, settings, losses, exports
 *
 * Reads only; nothing can be changed through it. The Unix socket's mode (0660) says who may look.
 */
import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { type HealthListener, listenForHealth } from "../shared/health-listener.ts";
import { liveness, readiness, type Vitals } from "./health.ts";

/** What the server asks the agent for, at the moment of each request. */
export interface AdminAnswers {
  vitals(): Vitals;
  edges(): object;
  status(): object;
}

export interface AdminOptions {
  readonly socket: string;
  /** `HOST:PORT` for health over TCP. */
  readonly address?: string | undefined;
  readonly answers: AdminAnswers;
}

export interface Admin {
  /** The TCP port that was taken, where one was asked for. */
  readonly port: number | undefined;
  /** TCP connections that were closed without an answer, since the start, by reason. */
  refusals(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

/**
 * Listens.
 *
 * @throws Error that says so when another agent answers on the socket, or an address cannot be had
 */
export async function startAdmin({ socket, address, answers }: AdminOptions): Promise<Admin> {
  await making(socket, () => mkdirSync(dirname(socket), { recursive: true }));
  if (await answersOn(socket))
    throw new Error(`another agent answers on ${socket}: stop it, or choose another admin.socket`);
  removeStale(socket);

  const local = createServer((request, response) => answer(request, response, answers, true));
  await making(socket, () => listenPrivately(local, socket));

  let remote: HealthListener | undefined;
  try {
    const onRequest = (request: IncomingMessage, response: ServerResponse) => answer(request, response, answers, false);
    if (address !== undefined) remote = await listenForHealth(address, onRequest);
  } catch (error) {
    await close(local);
    throw error;
  }
  return {
    port: remote?.port,
    refusals: () => remote?.refusals() ?? {},
    async close() {
      await Promise.all([close(local), remote?.close()]);
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
  if (path === "/status" || path === "/edges") {
    if (!local) return [403, { error: `${path} is shown on the Unix socket only` }];
    return [200, path === "/status" ? answers.status() : answers.edges()];
  }
  return [404, { error: "try /healthz, /readyz, /status or /edges" }];
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body, (_, value) => (typeof value === "bigint" ? String(value) : value));
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(`${text}\n`);
}

async function making(socket: string, make: () => unknown): Promise<void> {
  try {
    await make();
  } catch (error) {
    throw unusablePlace(socket, error);
  }
}

/** What to do where the system does not let the socket or its directory be made; any other error as it is. */
export function unusablePlace(socket: string, error: unknown): Error {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error as Error;
  const remedy = `make the directory ${dirname(socket)} for the agent's user, or choose another admin.socket`;
  return new Error(`${socket} cannot be made (${syscall}: ${code}): ${remedy}`, { cause: error });
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

/** Removes the socket of an agent that was killed, and nothing else. */
function removeStale(socket: string): void {
  const file = lstatSync(socket, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (!file.isSocket()) {
    const found = file.isSymbolicLink() ? "a link" : "a file";
    throw new Error(`${socket} is ${found}, and no socket: remove it, or choose another admin.socket`);
  }
  unlinkSync(socket);
}

/** With mode 0660 from its first moment: bind() takes the mode from the umask, and happens within the call. */
async function listenPrivately(server: Server, socket: string): Promise<void> {
  const before = process.umask(0o117);
  const listening = listen(server, socket);
  process.umask(before);
  await listening;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
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
