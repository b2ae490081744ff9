/**
 * The part of the table that each signal beside metrics has: where OTel puts an exporter's fields in the file, and their
 * variables. What is left out is as the metrics' exporter has it.
 */
import { endpoint } from "./endpoint.ts";
import { boolean, choice, milliseconds, optional, text } from "./fields.ts";
import { headersList, headersText } from "./otlp-fields.ts";
import { protocol } from "./standard-settings.ts";

const AS_METRICS = { default: undefined, defaultText: "as the metrics' exporter has it", live: false } as const;
const inner = { summary: "", live: false } as const;

export interface SignalExporter {
  readonly signal: "TRACES" | "LOGS";
  /** Place of the exporter in the file. */
  readonly otlp: string;
  /** What is sent, in the plural, for people. */
  readonly items: string;
}

export function exporterSettings({ signal, otlp, items }: SignalExporter) {
  return {
    endpoint: optional(
      {
        ...AS_METRICS,
        summary: `Where the Collector takes ${items}; over HTTP the whole URL, with its path.`,
        standard: `${otlp}.endpoint`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`, "OTEL_EXPORTER_OTLP_ENDPOINT"],
      },
      endpoint({ ...inner, default: "" }),
    ),
    protocol: protocol(signal),
    headers: headersList({
      summary: `Headers of every request with ${items}.`,
      default: {},
      defaultText: "as the metrics' exporter has them",
      live: false,
      standard: `${otlp}.headers`,
      secret: true,
    }),
    headersList: headersText({
      summary: "The same as one text; entries of `headers` win.",
      default: {},
      defaultText: "as the metrics' exporter has them",
      live: false,
      standard: `${otlp}.headers_list`,
      env: [`OTEL_EXPORTER_OTLP_${signal}_HEADERS`, "OTEL_EXPORTER_OTLP_HEADERS"],
      secret: true,
    }),
    compression: optional(
      {
        ...AS_METRICS,
        summary: "Compression of the requests.",
        standard: `${otlp}.compression`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_COMPRESSION`, "OTEL_EXPORTER_OTLP_COMPRESSION"],
      },
      choice({ ...inner, default: "none" }, ["none", "gzip"]),
    ),
    timeout: optional(
      {
        ...AS_METRICS,
        summary: "How long one request may take.",
        standard: `${otlp}.timeout`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_TIMEOUT`, "OTEL_EXPORTER_OTLP_TIMEOUT"],
      },
      milliseconds({ ...inner, default: 10_000 }, { min: 1, max: 600_000 }),
    ),
    ...tlsSettings(signal, otlp),
  } as const;
}

/** What a signal's connection goes by. */
function tlsSettings(signal: SignalExporter["signal"], otlp: string) {
  return {
    insecure: optional(
      {
        ...AS_METRICS,
        summary: "No TLS for an endpoint that has no scheme of its own.",
        standard: `${otlp}.tls.insecure`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_INSECURE`, "OTEL_EXPORTER_OTLP_INSECURE"],
      },
      boolean({ ...inner, default: false }),
    ),
    caFile: optional(
      {
        ...AS_METRICS,
        summary: "File with the certificates that sign the Collector's.",
        standard: `${otlp}.tls.ca_file`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_CERTIFICATE`, "OTEL_EXPORTER_OTLP_CERTIFICATE"],
      },
      text({ ...inner, default: "" }, "a path", "PATH"),
    ),
    keyFile: optional(
      {
        ...AS_METRICS,
        summary: "File with the agent's private key, for mutual TLS.",
        standard: `${otlp}.tls.key_file`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_CLIENT_KEY`, "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
      },
      text({ ...inner, default: "" }, "a path", "PATH"),
    ),
    certFile: optional(
      {
        ...AS_METRICS,
        summary: "File with the agent's certificate, for mutual TLS.",
        standard: `${otlp}.tls.cert_file`,
        env: [`OTEL_EXPORTER_OTLP_${signal}_CLIENT_CERTIFICATE`, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
      },
      text({ ...inner, default: "" }, "a path", "PATH"),
    ),
  } as const;
}
