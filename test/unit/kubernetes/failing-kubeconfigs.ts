/**
 * Kubeconfigs with something wrong in them or on the way to their server, asked once; and what each failure must say: the
 * setting or the field, what to do, and no secret.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { expect, onTestFinished } from "vitest";
import { ApiFailure } from "../../../agent/kubernetes/failure.ts";
import { kubeconfigConnection } from "../../../agent/kubernetes/kubeconfig-connection.ts";
import { get } from "../../../agent/kubernetes/request.ts";
import type { FakeApiServer } from "../../kubernetes/fake-api-server.ts";
import { type Certificates, certificates } from "../directory/serving.ts";
import { type RecordingProxy, startAnswering, startProxy, startSocks } from "./recording-proxies.ts";

/** Stands wherever a secret may be; no message may hold it. */
export const SECRET = "s3cr3t-0123456789-abcdefghij";

export interface World {
  readonly tls: Certificates;
  readonly secure: FakeApiServer;
  readonly plain: FakeApiServer;
  readonly proxy: RecordingProxy;
  readonly socks: RecordingProxy;
}

export interface Given {
  readonly cluster?: Readonly<Record<string, unknown>>;
  readonly user?: Readonly<Record<string, unknown>>;
  readonly text?: string;
  readonly path?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Row {
  readonly what: string;
  readonly given: (world: World) => Given;
  readonly reason: string;
  /** All of them stand in message and remedy together. */
  readonly says: readonly string[];
}

export async function makeWorld(): Promise<World> {
  const tls = certificates();
  for (const name of ["server", "client"]) tls.make(name);
  tls.makeCa("other");
  mkdirSync(tls.path("directory"));
  writeFileSync(tls.path("no-certificate"), SECRET);
  const secure = await startAnswering(tls);
  const proxy = await startProxy(secure.port);
  return { tls, secure, proxy, plain: await startAnswering(), socks: await startSocks(secure.port, "anna:right") };
}

export async function failureOf(world: World, { cluster, user, text, path, env = {} }: Given): Promise<ApiFailure> {
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [
      {
        name: "c",
        cluster: { server: `https://127.0.0.1:${world.secure.port}`, "certificate-authority": "ca.pem", ...cluster },
      },
    ],
    users: [{ name: "u", user: user ?? { token: SECRET } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  };
  writeFileSync(world.tls.path("config"), text ?? JSON.stringify(config));
  const options = { env: { PATH: process.env.PATH, ...env }, withinMs: 300 };
  const connection = kubeconfigConnection(path ?? world.tls.path("config"), options);
  onTestFinished(() => connection.close());
  const signal = new AbortController().signal;
  const failure = await get(connection, { path: "/api/v1/pods", query: {}, silenceMs: 2_000, signal }).then(
    () => "it worked",
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(ApiFailure);
  return failure as ApiFailure;
}

/** Asks with a row's kubeconfig, and holds the failure against the row. */
export async function expectSaid({ given, reason, says }: Row): Promise<void> {
  const world = await makeWorld();

  const failure = await failureOf(world, given(world));

  expect(failure.words).not.toContain(SECRET);
  expect({
    reason: failure.reason,
    words: failure.words,
    missing: says.filter((part) => !failure.words.includes(part)),
  }).toEqual({
    reason,
    words: failure.words,
    missing: [],
  });
  // What a server refuses for reasons of its own is told in its words.
  expect(failure.remedy !== undefined || reason === "rejected").toBe(true);
}
