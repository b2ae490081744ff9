/**
 * What a real Collector does with a request that it does not take, and what flowspan then says: its own words for
 * HTTP, TLS and pipelines, not those of a server that a test has made.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { createTransport, type ExportedSignal, type TransportOptions } from "../../agent/otlp/transport.ts";
import { type Collector, startCollector } from "../components/collector.ts";
import { missing, needs } from "../machine/needs.ts";
import { freePorts } from "../shared/free-ports.ts";
import { makeCertificates } from "../unit/tls/certificates.ts";

const made = makeCertificates();
const { path } = made;
let collector: Collector | undefined;
let ports: Record<"plain" | "http" | "tls" | "mutual" | "httpTls" | "httpMutual", number>;

const CONFIG = `
receivers:
  otlp:
    protocols:
      grpc: { endpoint: "\${env:OTLP_ENDPOINT}" }
      http: { endpoint: "127.0.0.1:\${env:HTTP_PORT}" }
  otlp/tls:
    protocols:
      grpc:
        endpoint: "127.0.0.1:\${env:TLS_PORT}"
        tls: { cert_file: ${path("server.pem")}, key_file: ${path("server.key")} }
      http:
        endpoint: "127.0.0.1:\${env:HTTP_TLS_PORT}"
        tls: { cert_file: ${path("server.pem")}, key_file: ${path("server.key")} }
  otlp/mutual:
    protocols:
      grpc:
        endpoint: "127.0.0.1:\${env:MUTUAL_PORT}"
        tls: { cert_file: ${path("server.pem")}, key_file: ${path("server.key")}, client_ca_file: ${path("ca.pem")} }
      http:
        endpoint: "127.0.0.1:\${env:HTTP_MUTUAL_PORT}"
        tls: { cert_file: ${path("server.pem")}, key_file: ${path("server.key")}, client_ca_file: ${path("ca.pem")} }
exporters: { debug: {} }
service: { pipelines: { metrics: { receivers: [otlp, otlp/tls, otlp/mutual], exporters: [debug] } } }
`;

beforeAll(async () => {
  if (missing("otelcol") !== undefined) return;
  const [http = 0, tls = 0, mutual = 0, httpTls = 0, httpMutual = 0] = await freePorts(5);
  const config = join(made.directory, "collector.yaml");
  writeFileSync(config, CONFIG);
  const env = {
    ...{ HTTP_PORT: String(http), TLS_PORT: String(tls), MUTUAL_PORT: String(mutual) },
    ...{ HTTP_TLS_PORT: String(httpTls), HTTP_MUTUAL_PORT: String(httpMutual) },
  };
  collector = await startCollector({ configs: [config], env });
  ports = { plain: collector.ports.otlp, http, tls, mutual, httpTls, httpMutual };
});
afterAll(async () => {
  await collector?.stop();
  made[Symbol.dispose]();
});

const test = needs("otelcol");

async function outcomeOf(options: TransportOptions, signal: ExportedSignal = "metrics") {
  const transport = createTransport({ timeoutMs: 5_000, ...options }, signal);
  const outcome = await transport.send(Buffer.alloc(0));
  await transport.shutdown();
  return outcome;
}

const caFile = path("ca.pem");

test("the Collector takes metrics where everything is right, in plain text, by TLS and with a certificate", async () => {
  const client = { certFile: path("client.pem"), keyFile: path("client.key") };
  const outcomes = [
    await outcomeOf({ endpoint: `http://localhost:${ports.plain}` }),
    await outcomeOf({ endpoint: `https://localhost:${ports.tls}`, caFile }),
    await outcomeOf({ endpoint: `https://localhost:${ports.mutual}`, caFile, ...client }),
  ];

  expect(outcomes.map(({ state }) => state)).toEqual(["accepted", "accepted", "accepted"]);
});

/** Over HTTP, to the path of metrics. */
const http = (scheme: "http" | "https", port: number, below = "/v1/metrics") =>
  ({ protocol: "http/protobuf", endpoint: `${scheme}://localhost:${port}${below}` }) as const;

test("it takes them over HTTP too, in plain text, compressed, by TLS and with a certificate", async () => {
  const client = { certFile: path("client.pem"), keyFile: path("client.key") };
  const outcomes = [
    await outcomeOf(http("http", ports.http)),
    await outcomeOf({ ...http("http", ports.http), compression: "gzip" }),
    await outcomeOf({ ...http("https", ports.httpTls), caFile }),
    await outcomeOf({ ...http("https", ports.httpMutual), caFile, ...client }),
  ];

  expect(outcomes.map(({ state }) => state)).toEqual(["accepted", "accepted", "accepted", "accepted"]);
});

const CASES: [name: string, options: () => TransportOptions, signal: ExportedSignal, cause: string, named: string][] = [
  [
    "spans to a Collector without a pipeline for them",
    () => ({ endpoint: `http://localhost:${ports.plain}` }),
    "traces",
    "no_pipeline",
    "a pipeline for traces",
  ],
  [
    "its port for HTTP",
    () => ({ endpoint: `http://localhost:${ports.http}` }),
    "metrics",
    "not_grpc",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
  ],
  [
    "TLS to its port for HTTP",
    () => ({ endpoint: `https://localhost:${ports.http}`, caFile }),
    "metrics",
    "not_tls",
    "http://",
  ],
  [
    "TLS to its port for plain text",
    () => ({ endpoint: `https://localhost:${ports.plain}`, caFile }),
    "metrics",
    "not_tls",
    "http://",
  ],
  [
    "plain text to its port for TLS",
    () => ({ endpoint: `http://localhost:${ports.tls}` }),
    "metrics",
    "closed",
    "https://",
  ],
  [
    "a CA of its own",
    () => ({ endpoint: `https://localhost:${ports.tls}` }),
    "metrics",
    "unknown_ca",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
  ],
  [
    "a name that its certificate does not have",
    () => ({ endpoint: `https://127.0.0.1:${ports.tls}`, caFile }),
    "metrics",
    "wrong_name",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
  ],
  [
    "no certificate where it wants one",
    () => ({ endpoint: `https://localhost:${ports.mutual}`, caFile }),
    "metrics",
    "client_certificate",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  ],
  ["HTTP to its port for gRPC", () => http("http", ports.plain), "metrics", "not_http", "4318"],
  [
    "spans over HTTP to a Collector without a pipeline for them",
    () => http("http", ports.http, "/v1/traces"),
    "traces",
    "no_path",
    "a pipeline for traces",
  ],
  ["a base where the whole URL belongs", () => http("http", ports.http, ""), "metrics", "no_path", "/v1/metrics"],
  ["plain HTTP to its port for HTTPS", () => http("http", ports.httpTls), "metrics", "closed", "https://"],
  [
    "HTTPS to its port for plain HTTP",
    () => ({ ...http("https", ports.http), caFile }),
    "metrics",
    "not_tls",
    "http://",
  ],
  [
    "no certificate over HTTPS where it wants one",
    () => ({ ...http("https", ports.httpMutual), caFile }),
    "metrics",
    "client_certificate",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  ],
];

for (const [name, options, signal, cause, named] of CASES) {
  test(`is told what to do: ${name}`, async () => {
    expect(await outcomeOf(options(), signal)).toMatchObject({
      state: "failed",
      cause,
      remedy: expect.stringContaining(named),
    });
  });
}
