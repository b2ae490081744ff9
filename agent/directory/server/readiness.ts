/**
 * The directory's answers to a kubelet's probes: /healthz and /readyz over HTTP; /status to this host alone. Reads only.
 *
 * Ready: the cluster has been read. What the API server's silence makes old is still better than nothing, so
 * age alone takes no replica out of service; agents hear how old their names may be.
 */
import type { ServerResponse } from "node:http";
import type { MetadataVitals } from "../../model/metadata.ts";
import { type HealthListener, listenForHealth } from "../../shared/health-listener.ts";

/** Credentials, an answer and the wait that it asks for have limits that are less together. */
const IDLE_MAX_MS = 600_000;

export interface HealthAnswers {
  metadata(): readonly MetadataVitals[];
  status(): object;
}

export interface HealthCheck {
  readonly ok: boolean;
  readonly detail: string;
}

export function isAlive(metadata: readonly MetadataVitals[]): HealthCheck {
  const still = metadata.filter(({ idleMs }) => idleMs > IDLE_MAX_MS);
  return { ok: still.length === 0, detail: still.map(({ name }) => `the watch of ${name} stands still`).join("; ") };
}

export function isReady(metadata: readonly MetadataVitals[]): HealthCheck {
  const unread = metadata.filter(({ synced }) => !synced);
  const words = unread.map(
    ({ name, trouble }) => `${name}: not read yet${trouble === undefined ? "" : ` (${trouble})`}`,
  );
  return { ok: unread.length === 0, detail: words.join("; ") };
}

/**
 * Listens on `HOST:PORT`.
 *
 * @throws Error when the address cannot be had
 */
export async function serveHealth(address: string, answers: HealthAnswers): Promise<HealthListener> {
  try {
    return await listenForHealth(address, ({ url, socket }, response) => {
      if (url === "/healthz") say(response, isAlive(answers.metadata()));
      else if (url === "/readyz") say(response, isReady(answers.metadata()));
      else if (url !== "/status") respond(response, 404, { error: "ask for /healthz, /readyz or /status" });
      else if (isLoopback(socket.remoteAddress)) respond(response, 200, answers.status());
      else respond(response, 403, { error: "/status is shown on this host (in this pod) only" });
    });
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`cannot listen on ${address}: ${message}: choose another --admin-address`, { cause: error });
  }
}

function isLoopback(address = ""): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

function say(response: ServerResponse, check: HealthCheck): void {
  respond(response, check.ok ? 200 : 503, check);
}

function respond(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
