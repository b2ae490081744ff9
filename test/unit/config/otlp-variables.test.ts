/**
 * Every OTEL_EXPORTER_OTLP_* variable in every form, general and of each signal, against what the stock OTel JS
 * exporter for gRPC does with the same environment. Where flowspan differs, the difference stands here with its reason.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { transportOptions } from "../../../agent/runtime/options.ts";
import { FORMS, TOGETHER_OTHERWISE } from "./forms.ts";
import { load } from "./given.ts";
import { type Effective, stockSettings } from "./stock.ts";

const SIGNALS = ["METRICS", "TRACES", "LOGS"] as const;
type Signal = (typeof SIGNALS)[number];
const NAMES = { METRICS: "metrics", TRACES: "traces", LOGS: "logs" } as const;

function ourSettings(signal: Signal, env: Record<string, string>): Effective {
  const options = transportOptions(load({ env }), NAMES[signal]);
  return {
    target: options.endpoint.replace(/^https?:\/\//, ""),
    tls: options.endpoint.startsWith("https:"),
    headers: { ...options.headers },
    compression: options.compression ?? "none",
    timeoutMs: options.timeoutMs ?? 0,
  };
}

type Kind = keyof typeof FORMS;
const KINDS = Object.keys(FORMS) as Kind[];
const PLACES = ["", "METRICS_", "TRACES_", "LOGS_"] as const;

/** One variable in one form, or a few of them at once. */
const entry = fc
  .tuple(fc.constantFrom(...KINDS), fc.constantFrom(...PLACES))
  .chain(([kind, place]) =>
    fc.constantFrom(...FORMS[kind]).map((form) => [`OTEL_EXPORTER_OTLP_${place}${kind}`, form] as const),
  );

describe("a variable in a form that OTel knows means what it means to the stock exporter", () => {
  const single = KINDS.flatMap((kind) =>
    PLACES.flatMap((place) => FORMS[kind].map((form) => [`OTEL_EXPORTER_OTLP_${place}${kind}`, form] as const)),
  );

  test.each(single)("%s=%s", (name, form) => {
    for (const signal of SIGNALS) {
      const env = { [name]: form };
      expect(ourSettings(signal, env)).toEqual(stockSettings(signal, env));
    }
  });

  test("also many of them at once, general ones and those of a signal", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), fc.constantFrom(...SIGNALS), (entries, signal) => {
        const env = Object.fromEntries(entries.filter(([, form]) => !TOGETHER_OTHERWISE.has(form)));
        expect(ourSettings(signal, env)).toEqual(stockSettings(signal, env));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("files for TLS", () => {
  const KINDS_OF_FILE = { CERTIFICATE: "caFile", CLIENT_CERTIFICATE: "certFile", CLIENT_KEY: "keyFile" } as const;
  const general = { CERTIFICATE: "/ca", CLIENT_CERTIFICATE: "/cert", CLIENT_KEY: "/key" };
  const envOf = (place: string, names: Record<string, string>) =>
    Object.fromEntries(Object.entries(names).map(([name, path]) => [`OTEL_EXPORTER_OTLP_${place}${name}`, path]));
  const filesOf = (signal: "metrics" | "traces", env: Record<string, string>) => {
    const { caFile, certFile, keyFile } = transportOptions(load({ env }), signal);
    return [caFile, certFile, keyFile];
  };

  test("are the signal's own, and the general ones where it has none", () => {
    const env = { ...envOf("", general), ...envOf("TRACES_", { CLIENT_CERTIFICATE: "/t.cert", CLIENT_KEY: "/t.key" }) };

    expect(filesOf("metrics", env)).toEqual(["/ca", "/cert", "/key"]);
    expect(filesOf("traces", env)).toEqual(["/ca", "/t.cert", "/t.key"]);
    expect(filesOf("traces", envOf("METRICS_", general))).toEqual([undefined, undefined, undefined]);
  });

  test.each(Object.entries(KINDS_OF_FILE))("%s is known by the variable that set it", (name, key) => {
    const { names } = transportOptions(load({ env: envOf("", general) }), "traces");

    expect(names[key]).toEqual({ source: "environment", path: `OTEL_EXPORTER_OTLP_${name}` });
  });
});

describe("where flowspan differs from the stock exporter", () => {
  /** name, variables, what flowspan does differently, what the stock exporter does. */
  const cases: [
    why: string,
    env: Record<string, string>,
    ours: Partial<Effective>,
    stock: Partial<Effective> | string,
  ][] = [
    [
      "http without a port is port 80, as in any URL",
      { ENDPOINT: "http://collector" },
      { target: "collector:80" },
      { target: "collector:443" },
    ],
    [
      "port 80 that was written is port 80",
      { ENDPOINT: "http://collector:80" },
      { target: "collector:80" },
      { target: "collector:443" },
    ],
    [
      "no scheme, no port, no TLS: port 80",
      { ENDPOINT: "collector", INSECURE: "true" },
      { target: "collector:80", tls: false },
      { target: "collector:443", tls: false },
    ],
    ["a scheme is not told by its letters' case", { ENDPOINT: "HTTP://collector:4317" }, { tls: false }, { tls: true }],
    [
      "an IPv6 address without brackets gets them",
      { ENDPOINT: "http://fd00::5:4317" },
      { target: "[fd00::5]:4317" },
      "Invalid URL",
    ],
    [
      "a socket is a socket",
      { ENDPOINT: "unix:/run/otel.sock" },
      { target: "unix:/run/otel.sock", tls: false },
      { target: "unix:443", tls: true },
    ],
    [
      "a socket has no TLS",
      { ENDPOINT: "unix:///run/otel.sock" },
      { target: "unix:/run/otel.sock", tls: false },
      { tls: true },
    ],
    [
      "a scheme that is none of OTLP's is ignored with a warning",
      { ENDPOINT: "grpc://collector:4317" },
      { target: "localhost:4317", tls: false },
      { target: "collector:4317", tls: true },
    ],
    [
      "what is no address is ignored with a warning",
      { ENDPOINT: "http://a b:4317" },
      { target: "localhost:4317" },
      "Invalid URL",
    ],
    [
      "a semicolon is part of a value: OTel's variables have no metadata",
      { HEADERS: "a=1;x=2" },
      { headers: { a: "1;x=2" } },
      { headers: { a: "1" } },
    ],
    [
      "one pair that cannot be read: the whole list is ignored with a warning",
      { HEADERS: "a=1,b" },
      { headers: {} },
      { headers: { a: "1" } },
    ],
    ["so is one that cannot be decoded", { HEADERS: "a=1,b=%zz" }, { headers: {} }, { headers: { a: "1" } }],
    [
      "white space at a value's end is left out",
      { HEADERS: "a=1%0A" },
      { headers: { a: "1" } },
      expect.stringMatching(/illegal/),
    ],
    [
      "what gRPC refuses is ignored with a warning",
      { HEADERS: "a=M%C3%BC" },
      { headers: {} },
      expect.stringMatching(/illegal/),
    ],
    ["so is a name that it refuses", { HEADERS: "a b=1" }, { headers: {} }, expect.stringMatching(/illegal/)],
    ["and a name for bytes", { HEADERS: "a-bin=1" }, { headers: {} }, expect.stringMatching(/Buffer/)],
    [
      "and one that HTTP/2 does not have",
      { HEADERS: "connection=close" },
      { headers: {} },
      { headers: { connection: "close" } },
    ],
    [
      "a word is not told by its letters' case",
      { COMPRESSION: "GZIP" },
      { compression: "gzip" },
      { compression: "none" },
    ],
    ["milliseconds are whole", { TIMEOUT: "1500.5" }, { timeoutMs: 10_000 }, { timeoutMs: 1500.5 }],
    ["in digits", { TIMEOUT: "1e3" }, { timeoutMs: 10_000 }, { timeoutMs: 1000 }],
    ["and ten minutes at most", { TIMEOUT: "900000" }, { timeoutMs: 10_000 }, { timeoutMs: 900_000 }],
    [
      "what cannot be read is as if it were not set: the general one counts",
      { METRICS_TIMEOUT: "soon", TIMEOUT: "23" },
      { timeoutMs: 23 },
      { timeoutMs: 23 },
    ],
    ["also of insecure", { METRICS_INSECURE: "yes", INSECURE: "true", ENDPOINT: "c:1" }, { tls: false }, { tls: true }],
  ];

  test.each(cases)("%s", (_, short, ours, stock) => {
    const env = Object.fromEntries(Object.entries(short).map(([name, form]) => [`OTEL_EXPORTER_OTLP_${name}`, form]));

    expect(ourSettings("METRICS", env)).toMatchObject(ours);
    const stocks = stockSettings("METRICS", env);
    if (typeof stock === "object" && !("asymmetricMatch" in stock)) expect(stocks).toMatchObject(stock);
    else expect(stocks).toEqual(stock);
  });
});
