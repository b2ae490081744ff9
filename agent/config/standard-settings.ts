/**
 * The part of the table that OTel defines: its places in the declarative configuration, its variables, its
 * defaults. What flowspan adds are words and bounds.
 */
import { endpoint } from "./endpoint.ts";
import { field, type Read, refuse } from "./field.ts";
import { boolean, choice, logLevel, milliseconds, optional, text } from "./fields.ts";
import { headersList, headersText, pairsList, pairsText, temporality } from "./otlp-fields.ts";

const READER = "meter_provider.readers[0].periodic";
const OTLP = `${READER}.exporter.otlp_grpc`;
const optionalText = { summary: "", default: "", live: false } as const;

const PROTOCOLS = ["grpc", "http/protobuf"] as const;

const protocolWords = (signal: "METRICS" | "TRACES" | "LOGS") =>
  ({
    summary:
      "OTLP over gRPC, or protobuf over HTTP. In the file: the exporter's name, `otlp_grpc` or `otlp_http`, which has the same fields.",
    live: false,
    standard: "",
    env: [`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, "OTEL_EXPORTER_OTLP_PROTOCOL"],
  }) as const;

const protocolField = field(
  { ...protocolWords("METRICS"), default: "grpc" as Protocol },
  {
    allowed: PROTOCOLS.join(", "),
    placeholder: PROTOCOLS.join("|"),
    fromYaml: () => refuse(),
    fromText(text): Read<Protocol> {
      const value = PROTOCOLS.find((one) => one === text.trim().toLowerCase());
      if (value !== undefined) return { value };
      const remedy =
        text.trim().toLowerCase() === "http/json"
          ? "set it to http/protobuf, which the same port takes: flowspan sends no JSON"
          : "set it to one of them; a Collector has port 4317 for grpc and 4318 for http/protobuf";
      return refuse({ remedy });
    },
  },
);

export type Protocol = (typeof PROTOCOLS)[number];

/** Of a signal beside metrics; what is left out is the merging's (merge.ts). */
export function protocol(signal: "TRACES" | "LOGS") {
  const words = {
    ...protocolWords(signal),
    default: undefined,
    defaultText: "as the metrics' exporter has it; by variables `grpc`",
  };
  return optional(words, protocolField);
}

export const STANDARD_SETTINGS = {
  disabled: boolean({
    summary: "Count in the kernel but export nothing.",
    default: false,
    live: false,
    standard: "disabled",
    env: ["OTEL_SDK_DISABLED"],
  }),
  logLevel: logLevel({
    summary: "The least severe log line to write.",
    default: "info",
    live: true,
    flag: "log-level",
    standard: "log_level",
    env: ["OTEL_LOG_LEVEL"],
  }),
  resource: {
    attributes: pairsList({
      summary: "Attributes of the agent's own Resource.",
      default: {},
      defaultText: "none",
      live: false,
      standard: "resource.attributes",
    }),
    attributesList: pairsText({
      summary: "The same as one text; entries of `attributes` win.",
      default: {},
      defaultText: "none",
      live: false,
      standard: "resource.attributes_list",
      env: ["OTEL_RESOURCE_ATTRIBUTES"],
    }),
    serviceName: optional(
      {
        summary: "service.name of the agent's own Resource. In the file: an entry of `resource.attributes`.",
        default: undefined,
        defaultText: "`flowspan`",
        live: false,
        standard: "",
        env: ["OTEL_SERVICE_NAME"],
      },
      text(optionalText),
    ),
  },
  otlp: {
    readerInterval: optional(
      {
        summary: "OTel's name for `interval`, which wins where both are set.",
        default: undefined,
        defaultText: "`interval`",
        live: true,
        standard: `${READER}.interval`,
        env: ["OTEL_METRIC_EXPORT_INTERVAL"],
      },
      milliseconds({ summary: "", default: 0, live: true }, { min: 100, max: 3_600_000 }),
    ),
    endpoint: endpoint({
      summary:
        "Where the Collector takes OTLP. The general variable and the flag are for all signals: over HTTP each signal's path, as `/v1/metrics`, is appended to them. What is for one signal is taken as it is.",
      default: "http://localhost:4317",
      defaultText: "`http://localhost:4317`; over HTTP `http://localhost:4318`",
      live: false,
      flag: "endpoint",
      standard: `${OTLP}.endpoint`,
      env: ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
    }),
    exporter: choice(
      {
        summary:
          "`none`: no metric is exported, flowspan's own neither. The kernel goes on counting and keeps it for an agent that exports; spans are sent all the same.",
        default: "otlp",
        live: false,
        standard: "",
        env: ["OTEL_METRICS_EXPORTER"],
      },
      ["otlp", "none"],
    ),
    protocol: protocolField,
    histogramAggregation: choice(
      {
        summary:
          "The form of histograms: exponential as the kernel keeps them, or explicit buckets that end where the kernel's do (docs/telemetry.md).",
        default: "base2_exponential_bucket_histogram",
        live: false,
        standard: `${OTLP}.default_histogram_aggregation`,
        env: ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"],
      },
      ["base2_exponential_bucket_histogram", "explicit_bucket_histogram"],
    ),
    headers: headersList({
      summary: "Headers of every export; over gRPC they are its metadata.",
      default: {},
      defaultText: "none",
      live: false,
      standard: `${OTLP}.headers`,
      secret: true,
    }),
    headersList: headersText({
      summary: "The same as one text; entries of `headers` win.",
      default: {},
      defaultText: "none",
      live: false,
      standard: `${OTLP}.headers_list`,
      env: ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
      secret: true,
    }),
    compression: choice(
      {
        summary: "Compression of the requests.",
        default: "none",
        live: false,
        standard: `${OTLP}.compression`,
        env: ["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
      },
      ["none", "gzip"],
    ),
    timeout: milliseconds(
      {
        summary: "How long one request may take.",
        default: 10_000,
        live: false,
        standard: `${OTLP}.timeout`,
        env: ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
      },
      { min: 1, max: 600_000 },
    ),
    insecure: boolean({
      summary: "No TLS for an endpoint that has no scheme of its own; http:// and https:// say it themselves.",
      default: false,
      live: false,
      standard: `${OTLP}.tls.insecure`,
      env: ["OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
    }),
    caFile: optional(
      {
        summary: "File with the certificates that sign the Collector's.",
        default: undefined,
        defaultText: "the system's store, else Node's own",
        live: false,
        standard: `${OTLP}.tls.ca_file`,
        env: ["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
      },
      text(optionalText, "a path", "PATH"),
    ),
    keyFile: optional(
      {
        summary: "File with the agent's private key, for mutual TLS.",
        default: undefined,
        defaultText: "none",
        live: false,
        standard: `${OTLP}.tls.key_file`,
        env: ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
      },
      text(optionalText, "a path", "PATH"),
    ),
    certFile: optional(
      {
        summary: "File with the agent's certificate, for mutual TLS.",
        default: undefined,
        defaultText: "none",
        live: false,
        standard: `${OTLP}.tls.cert_file`,
        env: ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
      },
      text(optionalText, "a path", "PATH"),
    ),
    temporality: temporality({
      summary:
        "Whether sums start at the series' start or at each export. `low_memory` (the variable: `lowmemory`): deltas, but for flowspan's own counters.",
      default: "cumulative",
      live: false,
      standard: `${OTLP}.temporality_preference`,
      env: ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
    }),
  },
} as const;
