/**
 * The part of the table that OTel defines: its places in the declarative configuration, its variables, its
 * defaults. What flowspan adds are words and bounds.
 */
import { endpoint } from "./endpoint.ts";
import type { Read } from "./field.ts";
import { boolean, choice, logLevel, milliseconds, optional, text } from "./fields.ts";
import { headersList, headersText, pairsList, pairsText, temporality } from "./otlp-fields.ts";

const READER = "meter_provider.readers[0].periodic";
const OTLP = `${READER}.exporter.otlp_grpc`;
const optionalText = { summary: "", default: "", live: false } as const;

/** Of one signal; there is nothing to choose, but a variable that asks for something else must be reported. */
export function protocol(signal: "METRICS" | "TRACES" | "LOGS") {
  const field = choice(
    {
      summary: "Only gRPC is spoken. In the file: the exporter's name, `otlp_grpc`.",
      default: "grpc",
      live: false,
      standard: "",
      env: [`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, "OTEL_EXPORTER_OTLP_PROTOCOL"],
    },
    ["grpc"],
  );
  const remedy = "set it to grpc, and let the endpoint name a port for gRPC: a Collector has 4317, and 4318 for HTTP";
  const fromText = (text: string): Read<"grpc"> => {
    const read = field.fromText(text);
    return "refused" in read ? { ...read, remedy } : read;
  };
  return { ...field, fromText };
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
      summary: "Where the Collector takes OTLP over gRPC. The flag is for spans too.",
      default: "http://localhost:4317",
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
    protocol: protocol("METRICS"),
    /** Like protocol(): who asks for another form must hear of it. */
    histogramAggregation: choice(
      {
        summary: "Histograms are exponential, as the kernel keeps them; another aggregation is refused with a warning.",
        default: "base2_exponential_bucket_histogram",
        live: false,
        standard: "",
        env: ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"],
      },
      ["base2_exponential_bucket_histogram"],
    ),
    headers: headersList({
      summary: "Headers (gRPC metadata) of every export.",
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
      summary: "Whether sums start at the series' start or at each export.",
      default: "cumulative",
      live: false,
      standard: `${OTLP}.temporality_preference`,
      env: ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
    }),
  },
} as const;
