/** What tests of OTLP over HTTP share: a request, an environment without settings, and servers that end with the file. */
import type { Server as HttpServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { afterAll, afterEach, beforeEach, vi } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { makeCertificates } from "../tls/certificates.ts";

export const REQUEST = Buffer.from("twenty-three bytes of it");
export const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };
export const HTTP = { protocol: "http/protobuf", timeoutMs: 5000 } as const;

export const certificates = makeCertificates();
const closing: (() => unknown)[] = [() => certificates[Symbol.dispose]()];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^OTEL_|_proxy$/i.test(name)) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** Called at the end of the test file, the last one first. */
export function atEnd(close: () => unknown): void {
  closing.push(close);
}

/** Listens on loopback until the test file ends. */
export async function portOf(server: Server | HttpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => server.close());
  return (server.address() as AddressInfo).port;
}
