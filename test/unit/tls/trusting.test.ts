/**
 * Whoever is connected to without a CA that is named is trusted as the machine's store says: Collector, directory, API server,
 * identity provider.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connectTo } from "../../../agent/directory/client/replicas.ts";
import { kubeconfigConnection } from "../../../agent/kubernetes/kubeconfig-connection.ts";
import { get } from "../../../agent/kubernetes/request.ts";
import { createTransport } from "../../../agent/otlp/transport.ts";
import { ACCEPT, startFakeCollector } from "../otlp/fake-collector.ts";
import { answer, type HttpAnswer, OK, startFakeHttpCollector } from "../otlp/fake-http-collector.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

// gRPC reads it when it is loaded.
vi.hoisted(() => {
  delete process.env.GRPC_DEFAULT_SSL_ROOTS_FILE_PATH;
});

// Each test has a CA of its own: what one has made the process trust must not help the next.
let made: Certificates;
const serverCredentials = () => ServerCredentials.createSsl(null, [made.pair("server")]);

beforeEach(() => {
  made = makeCertificates();
  vi.stubEnv("SSL_CERT_FILE", made.path("ca.pem"));
  vi.stubEnv("SSL_CERT_DIR", "/nowhere");
});
afterEach(() => {
  vi.unstubAllEnvs();
  made[Symbol.dispose]();
});

test("the Collector", async () => {
  await using collector = await startFakeCollector([ACCEPT], serverCredentials());
  const transport = createTransport({ endpoint: `https://localhost:${collector.port}`, timeoutMs: 5000 });

  const outcome = await transport.send(Buffer.from("x"));
  await transport.shutdown();

  expect(outcome).toMatchObject({ state: "accepted" });
});

test("the Collector, over HTTP", async () => {
  await using collector = await startFakeHttpCollector([OK], tlsOptions());
  const endpoint = `https://localhost:${collector.port}/v1/metrics`;
  const transport = createTransport({ endpoint, protocol: "http/protobuf", timeoutMs: 5000 });

  const outcome = await transport.send(Buffer.from("x"));
  await transport.shutdown();

  expect(outcome).toMatchObject({ state: "accepted" });
});

test("the directory", async () => {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", serverCredentials(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });

  const { client, call } = connectTo({ host: "localhost", address: `127.0.0.1:${port}` }, { insecure: false });
  const said = await new Promise<string>((resolve) => call.on("error", (error) => resolve(error.message)));
  client.close();
  server.forceShutdown();

  // It was let in by TLS, and has no such service.
  expect(said).toMatch(/UNIMPLEMENTED/);
});

test("the API server of a kubeconfig", async () => {
  await using server = await startFakeHttpCollector([answer(200, {}, "{}")], tlsOptions());
  const kubeconfig = kubeconfigOf({ server: `https://localhost:${server.port}` }, { token: "t" });
  const signal = AbortSignal.timeout(30_000);

  const body = await get(kubeconfigConnection(kubeconfig), { path: "/version", query: {}, silenceMs: 30_000, signal });
  const chunks: unknown[] = [];
  for await (const chunk of body) chunks.push(chunk);

  expect(String(chunks[0])).toBe("{}");
});

test("the identity provider of a kubeconfig, also where the cluster has a CA of its own", async () => {
  const answers: HttpAnswer[] = [];
  await using provider = await startFakeHttpCollector(answers, tlsOptions());
  const issuer = `https://localhost:${provider.port}`;
  answers.push(answer(200, {}, JSON.stringify({ token_endpoint: `${issuer}/token` })));
  answers.push(answer(200, {}, JSON.stringify({ id_token: "new" })));
  const config = { "idp-issuer-url": issuer, "client-id": "flowspan", "refresh-token": "r", "id-token": "over" };
  const cluster = { server: "https://localhost:1", "certificate-authority": made.path("ca.pem") };
  const kubeconfig = kubeconfigOf(cluster, { "auth-provider": { name: "oidc", config } });

  const { options } = await kubeconfigConnection(kubeconfig, { env: { ...process.env } }).credentials();

  expect(options.headers).toEqual({ authorization: "Bearer new" });
});

function tlsOptions() {
  const { private_key: key, cert_chain: cert } = made.pair("server");
  return { key, cert };
}

function kubeconfigOf(cluster: object, user: object): string {
  const text = JSON.stringify({
    clusters: [{ name: "c", cluster }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
  return made.file("kubeconfig", text);
}
