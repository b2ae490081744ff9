/**
 * Asks a running agent through its admin socket.
 */
import { request } from "node:http";

export interface AdminAnswer {
  readonly status: number;
  /** The parsed body. */
  readonly body: unknown;
}

const TIMEOUT_MS = 5_000;

/** @throws Error with the system's code (`ENOENT`, `ECONNREFUSED`, `EACCES`) when nobody can be asked */
export function askAgent(socketPath: string, path: string): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString("utf8")) });
        } catch (error) {
          reject(new Error(`the agent on ${socketPath} did not answer in JSON`, { cause: error }));
        }
      });
    });
    call.on("timeout", () =>
      call.destroy(new Error(`the agent on ${socketPath} did not answer within ${TIMEOUT_MS} ms`)),
    );
    call.on("error", reject);
    call.end();
  });
}
