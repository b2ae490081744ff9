/** Which settings spans are sent with, beside those of metrics: by file, by flag, by variable. */
import { describe, expect, test } from "vitest";
import { exportedSignals, transportOptions } from "../../../agent/runtime/options.ts";
import { type Given, load, yaml } from "./given.ts";

const METRICS = (...lines: string[]) =>
  exporter("meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: ", lines, "}}}]}");
const SPANS = (...lines: string[]) =>
  exporter("tracer_provider: {processors: [{batch: {exporter: {otlp_grpc: ", lines, "}}}]}");
const exporter = (before: string, lines: string[], after: string) => `${before}{${lines.join(", ")}}${after}`;

const ALL = [
  ...["endpoint: 'https://m:1'", "compression: gzip", "timeout: 23", "headers: [{name: a, value: metrics}]"],
  "tls: {ca_file: /m.ca, cert_file: /m.cert, key_file: /m.key}",
];

function spans(given: Given) {
  const { names, ...options } = transportOptions(load(given), "traces");
  return options;
}

const AS_METRICS = {
  ...{ endpoint: "https://m:1", protocol: "grpc", compression: "gzip", timeoutMs: 23, headers: { a: "metrics" } },
  ...{ caFile: "/m.ca", certFile: "/m.cert", keyFile: "/m.key" },
};
const NO_FILES = { caFile: undefined, certFile: undefined, keyFile: undefined };

describe("in a file", () => {
  test("spans are sent as metrics where nothing else is said", () => {
    expect(spans({ file: yaml(METRICS(...ALL)) })).toEqual(AS_METRICS);
  });

  test("one field for spans leaves the others as they are for metrics", () => {
    const file = yaml(METRICS(...ALL), SPANS("timeout: 46", "headers_list: 'a=spans'"));

    expect(spans({ file })).toEqual({ ...AS_METRICS, timeoutMs: 46, headers: { a: "spans" } });
  });

  test("an endpoint for spans gets nothing that was meant for the metrics' server", () => {
    const file = yaml(METRICS(...ALL), SPANS("endpoint: 's:2'"));

    expect(spans({ file })).toEqual({
      ...{ endpoint: "https://s:2", protocol: "grpc", compression: "gzip", timeoutMs: 23, headers: {} },
      ...NO_FILES,
    });
  });

  test("a client certificate for spans is never shown with the metrics' key", () => {
    const file = yaml(METRICS(...ALL), SPANS("tls: {cert_file: /s.cert}"));

    expect(() => load({ file })).toThrow(/certFile|cert_file without key_file/);
  });
});

describe("an exporter's name in a file is its protocol", () => {
  const HTTP_METRICS = (...lines: string[]) => METRICS(...lines).replace("otlp_grpc", "otlp_http");
  const HTTP_SPANS = (...lines: string[]) => SPANS(...lines).replace("otlp_grpc", "otlp_http");
  const waysOf = (file: string) => {
    const config = load({ file });
    return (["metrics", "traces", "logs"] as const).map((signal) => {
      const { protocol, endpoint, headers } = transportOptions(config, signal);
      return { protocol, endpoint, headers };
    });
  };
  const http = (endpoint: string, headers = {}) => ({ protocol: "http/protobuf", endpoint, headers });
  const grpc = (endpoint: string, headers = {}) => ({ protocol: "grpc", endpoint, headers });

  test.each<[string, string, object[]]>([
    [
      "otlp_http without a field",
      HTTP_METRICS(),
      ["metrics", "traces", "logs"].map((name) => http(`http://localhost:4318/v1/${name}`)),
    ],
    [
      "an endpoint for metrics, whose path others do not take over",
      HTTP_METRICS("endpoint: 'https://v.example/otlp/v1/metrics'", "headers: [{name: a, value: m}]"),
      ["metrics", "traces", "logs"].map((name) => http(`https://v.example:443/otlp/v1/${name}`, { a: "m" })),
    ],
    [
      "spans by the other protocol get nothing of the metrics' server",
      [HTTP_METRICS("endpoint: 'https://v:1/x'", "headers: [{name: a, value: m}]"), SPANS()].join("\n"),
      [http("https://v:1/x", { a: "m" }), grpc("http://localhost:4317"), http("https://v:1/x", { a: "m" })],
    ],
    [
      "spans alone over HTTP",
      [METRICS("endpoint: 'https://m:1'"), HTTP_SPANS("endpoint: 'http://s:2/v1/traces'", "encoding: protobuf")].join(
        "\n",
      ),
      [grpc("https://m:1"), http("http://s:2/v1/traces"), grpc("https://m:1")],
    ],
  ])("%s", (_, text, ways) => {
    expect(waysOf(yaml(text))).toEqual(ways);
  });

  test("JSON is refused, with its line", () => {
    const file = yaml(HTTP_METRICS("encoding: json"));

    expect(() => load({ file })).toThrow(/otlp_http\.encoding\n {2}found: {3}"json"\n {2}allowed: protobuf/);
  });

  test("what is wrong in it is named as it is written", () => {
    const file = yaml(HTTP_METRICS("timeout: -1", "compresion: gzip"));

    expect(() => load({ file })).toThrow(
      /otlp_http\.timeout[\s\S]*otlp_http\.compresion[\s\S]*did you mean compression/,
    );
  });
});

describe("by variables", () => {
  test("those for metrics are not for spans, as OTel's specification has it", () => {
    const env = {
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "https://m:1",
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: "authorization=metrics",
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "23",
      OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: "gzip",
      OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE: "/m.ca",
    };

    expect(spans({ env })).toEqual({
      ...{ endpoint: "http://localhost:4317", protocol: "grpc", compression: "none", timeoutMs: 10_000, headers: {} },
      ...NO_FILES,
    });
  });
});

describe("the flag --endpoint is for metrics and spans", () => {
  const flags = { endpoint: "http://a:1" };
  const endpoints = (given: Given) => {
    const config = load({ ...given, flags: { ...flags, ...given.flags } });
    const { endpoint, names } = transportOptions(config, "traces");
    return [config.settings.otlp.endpoint, endpoint, names.endpoint.path];
  };
  const BOTH = ["http://a:1", "http://a:1", "--endpoint"];

  test.each<[string, Given]>([
    ["alone", {}],
    ["over a general variable", { env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://b:2" } }],
    ["over a variable for spans", { env: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://b:2" } }],
    ["over a file", { file: yaml(METRICS("endpoint: 'http://b:2'")) }],
    [
      "over a file that has one for spans",
      { file: yaml(METRICS("endpoint: 'http://b:2'"), SPANS("endpoint: 'http://c:3'")) },
    ],
  ])("%s", (_, given) => {
    expect(endpoints(given)).toEqual(BOTH);
  });

  test("without a scheme it has TLS for each signal as that signal's insecure says", () => {
    const env = { OTEL_EXPORTER_OTLP_TRACES_INSECURE: "true" };

    expect(endpoints({ env, flags: { endpoint: "a:1" } })).toEqual(["https://a:1", "http://a:1", "--endpoint"]);
  });

  test("headers of the variables still go along", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://b:2", OTEL_EXPORTER_OTLP_HEADERS: "a=1" };

    expect(spans({ env, flags })).toMatchObject({ endpoint: "http://a:1", headers: { a: "1" } });
  });
});

describe("a protocol that is not spoken is ignored with a warning, and what is to be sent is sent", () => {
  const AS_JSON = { OTEL_EXPORTER_OTLP_PROTOCOL: "http/json", OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:1" };

  test.each<[string, Record<string, string>, string[]]>([
    ["alone", {}, ["metrics", "traces", "logs"]],
    ["besides grpc for metrics", { OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "grpc" }, ["metrics", "traces", "logs"]],
    ["without spans", { OTEL_TRACES_EXPORTER: "none" }, ["metrics", "logs"]],
    ["with a sampler that keeps none", { OTEL_TRACES_SAMPLER: "always_off" }, ["metrics", "logs"]],
    ["without metrics", { OTEL_METRICS_EXPORTER: "none" }, ["traces", "logs"]],
    ["without log records", { OTEL_LOGS_EXPORTER: "none" }, ["metrics", "traces"]],
  ])("%s", (_, more, signals) => {
    const config = load({ env: { ...AS_JSON, ...more } });

    const said = config.warnings.filter((line) => line.includes("OTEL_EXPORTER_OTLP_PROTOCOL"));
    expect(said).toEqual([expect.stringContaining("the variable is ignored")]);
    expect(exportedSignals(config.settings)).toEqual(signals);
    expect(config.settings.otlp.endpoint).toBe("http://c:1");
  });
});
