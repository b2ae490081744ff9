/**
 * The table of otlp-variables.test.ts for OTLP over HTTP: every OTEL_EXPORTER_OTLP_* variable in every form, general and of
 * each signal, against what the stock exporter for HTTP does with the same environment.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { transportOptions } from "../../../agent/runtime/options.ts";
import { FORMS, TOGETHER_OTHERWISE } from "./forms.ts";
import { load } from "./given.ts";
import { type Effective, stockHttpSettings } from "./stock.ts";

const SIGNALS = ["METRICS", "TRACES", "LOGS"] as const;
type Signal = (typeof SIGNALS)[number];
const NAMES = { METRICS: "metrics", TRACES: "traces", LOGS: "logs" } as const;
const HTTP = { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" };

function ourSettings(signal: Signal, env: Record<string, string>): Effective {
  const { protocol, endpoint, headers, compression, timeoutMs } = transportOptions(
    load({ env: { ...HTTP, ...env } }),
    NAMES[signal],
  );
  expect(protocol).toBe("http/protobuf");
  return {
    target: endpoint.startsWith("unix:") ? endpoint : new URL(endpoint).href,
    tls: endpoint.startsWith("https:"),
    headers: { ...headers },
    compression: compression ?? "none",
    timeoutMs: timeoutMs ?? 0,
  };
}

/** Forms that both read alike: as for gRPC, but for addresses, which are URLs here. */
const HTTP_FORMS = {
  HEADERS: FORMS.HEADERS,
  COMPRESSION: FORMS.COMPRESSION,
  TIMEOUT: FORMS.TIMEOUT,
  ENDPOINT: [
    ...[
      "http://collector:4318",
      "https://collector:4318",
      "http://collector:4318/",
      "http://collector",
      "https://collector",
    ],
    ...["http://collector:80", "http://10.0.0.5:4318", "http://[fd00::5]:4318", ""],
    ...[
      "https://vendor.example/otlp",
      "https://vendor.example/otlp/",
      "http://collector:4318/v1/metrics",
      "HTTP://collector:4318",
    ],
    ...["https://vendor.example/a%20b", "https://vendor.example/api/v2/otlp/v1/traces"],
  ],
} as const;

type Kind = keyof typeof HTTP_FORMS;
const KINDS = Object.keys(HTTP_FORMS) as Kind[];
const PLACES = ["", "METRICS_", "TRACES_", "LOGS_"] as const;

const entry = fc
  .tuple(fc.constantFrom(...KINDS), fc.constantFrom(...PLACES))
  .chain(([kind, place]) =>
    fc.constantFrom(...HTTP_FORMS[kind]).map((form) => [`OTEL_EXPORTER_OTLP_${place}${kind}`, form] as const),
  );

describe("a variable in a form that OTel knows means what it means to the stock exporter for HTTP", () => {
  const single = KINDS.flatMap((kind) =>
    PLACES.flatMap((place) => HTTP_FORMS[kind].map((form) => [`OTEL_EXPORTER_OTLP_${place}${kind}`, form] as const)),
  );

  test.each(single)("%s=%s", async (name, form) => {
    for (const signal of SIGNALS) {
      const env = { [name]: form };
      expect(ourSettings(signal, env)).toEqual(await stockHttpSettings(signal, env));
    }
  });

  test("also many of them at once, general ones and those of a signal", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 8 }), fc.constantFrom(...SIGNALS), async (entries, signal) => {
        const env = Object.fromEntries(entries.filter(([, form]) => !TOGETHER_OTHERWISE.has(form)));
        expect(ourSettings(signal, env)).toEqual(await stockHttpSettings(signal, env));
      }),
      { numRuns: 500 },
    );
  });

  test("without any, requests go to port 4318", async () => {
    for (const signal of SIGNALS) expect(ourSettings(signal, {})).toEqual(await stockHttpSettings(signal, {}));
    expect(ourSettings("LOGS", {}).target).toBe("http://localhost:4318/v1/logs");
  });
});

describe("each signal has the protocol that is its own, and else the general one", () => {
  test.each<[string, Record<string, string>, string[]]>([
    ["http for all", { PROTOCOL: "http/protobuf" }, ["http/protobuf", "http/protobuf", "http/protobuf"]],
    ["in any letters", { PROTOCOL: " HTTP/Protobuf " }, ["http/protobuf", "http/protobuf", "http/protobuf"]],
    ["http for spans alone", { TRACES_PROTOCOL: "http/protobuf" }, ["grpc", "http/protobuf", "grpc"]],
    [
      "grpc for metrics",
      { PROTOCOL: "http/protobuf", METRICS_PROTOCOL: "grpc" },
      ["grpc", "http/protobuf", "http/protobuf"],
    ],
    [
      "a wrong one for logs",
      { PROTOCOL: "http/protobuf", LOGS_PROTOCOL: "http/json" },
      ["http/protobuf", "http/protobuf", "http/protobuf"],
    ],
    ["none", {}, ["grpc", "grpc", "grpc"]],
  ])("%s", (_, short, protocols) => {
    const env = Object.fromEntries(Object.entries(short).map(([name, form]) => [`OTEL_EXPORTER_OTLP_${name}`, form]));

    const config = load({ env });

    expect(SIGNALS.map((signal) => transportOptions(config, NAMES[signal]).protocol)).toEqual(protocols);
  });
});

describe("where flowspan differs from the stock exporter for HTTP", () => {
  const cases: [why: string, env: Record<string, string>, ours: Partial<Effective>, stock: string][] = [
    [
      "no scheme is TLS",
      { ENDPOINT: "collector:4318" },
      { target: "https://collector:4318/v1/metrics" },
      "collector:4318/v1/metrics",
    ],
    [
      "white space around an endpoint is none of it",
      { ENDPOINT: " http://collector:4318 " },
      { target: "http://collector:4318/v1/metrics" },
      "http://localhost:4318/v1/metrics",
    ],
    [
      "insecure is for HTTP too",
      { METRICS_ENDPOINT: "collector:4318/otlp", INSECURE: "true" },
      { target: "http://collector:4318/otlp", tls: false },
      "collector:4318/otlp",
    ],
    [
      "what follows a path is left out with a warning",
      { METRICS_ENDPOINT: "http://collector:4318/v1/metrics?x=1" },
      { target: "http://collector:4318/v1/metrics" },
      "http://collector:4318/v1/metrics?x=1",
    ],
    [
      "user and password are left out with a warning",
      { ENDPOINT: "http://user:password@collector:4318" },
      { target: "http://collector:4318/v1/metrics" },
      "http://user:password@collector:4318/v1/metrics",
    ],
    [
      "a socket is a socket",
      { ENDPOINT: "unix:/run/otel.sock" },
      { target: "unix:/run/otel.sock" },
      "unix:/run/otel.sock/v1/metrics",
    ],
    [
      "what is no address is ignored with a warning",
      { ENDPOINT: "http://a b:4318" },
      { target: "http://localhost:4318/v1/metrics" },
      "http://localhost:4318/v1/metrics",
    ],
  ];

  test.each(cases)("%s", async (_, short, ours, stock) => {
    const env = Object.fromEntries(Object.entries(short).map(([name, form]) => [`OTEL_EXPORTER_OTLP_${name}`, form]));

    expect(ourSettings("METRICS", env)).toMatchObject(ours);
    expect(await stockHttpSettings("METRICS", env)).toMatchObject({ target: stock });
  });
});
