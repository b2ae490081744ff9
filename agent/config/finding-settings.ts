/**
 * The part of the table that is about findings: flowspan's own fields, of which the registry gives those of each finding, and
 * the places and variables that OTel has for whatever sends log records.
 */
import { FINDINGS, type FindingName, type FindingThreshold } from "../generated/findings.ts";
import { exporterSettings } from "./exporter-settings.ts";
import type { Field } from "./field.ts";
import { boolean, choice, integer, milliseconds, ratio } from "./fields.ts";

const PROCESSOR = "logger_provider.processors[0].batch";

type LimitFields<Name extends FindingName> = {
  readonly [Limit in keyof (typeof FINDINGS)[Name]["thresholds"]]: Field<number>;
};
type FindingFields = {
  readonly [Name in FindingName]: { readonly enabled: Field<boolean> } & LimitFields<Name>;
};

/** `findings.NAME.enabled` and each limit of NAME. */
function fieldsOfFindings(): FindingFields {
  const fields = Object.entries(FINDINGS).map(([name, { meaning, thresholds }]) => {
    const enabled = boolean({ summary: `Look for this: ${meaning}`, default: true, live: true });
    const limits = Object.entries<FindingThreshold>(thresholds).map(([limit, { default: value, unit, brief }]) => {
      const summary = `What it takes: ${brief.charAt(0).toLowerCase()}${brief.slice(1)}`;
      const stated = { summary, default: value, live: true };
      return [limit, unit === "1" ? ratio(stated) : integer(stated, { min: 1, max: 1_000_000_000 })];
    });
    return [name, { enabled, ...Object.fromEntries(limits) }];
  });
  return Object.fromEntries(fields) as FindingFields;
}

export const FINDING_SETTINGS = {
  enabled: boolean({
    summary: "Say what is wrong as log records, and as the metric flowspan.findings.active.",
    default: true,
    live: true,
  }),
  limit: integer(
    {
      summary: "At most this many findings are followed at once; one more is left out and counted.",
      default: 1_000,
      live: true,
    },
    { min: 1, max: 100_000 },
  ),
  rate: integer(
    {
      summary:
        "At most this many findings start in a minute; others wait, and are left out and counted if they are over before.",
      default: 100,
      live: true,
    },
    { min: 1, max: 100_000 },
  ),
  ...fieldsOfFindings(),
} as const;

export const LOG_SETTINGS = {
  queue: integer(
    {
      summary: "Log records that may wait for the Collector; what finds no room is dropped and counted.",
      default: 2_048,
      live: false,
      standard: `${PROCESSOR}.max_queue_size`,
      env: ["OTEL_BLRP_MAX_QUEUE_SIZE"],
    },
    { min: 1, max: 1_000_000 },
  ),
  batch: integer(
    {
      summary: "Log records in one request.",
      default: 512,
      live: false,
      standard: `${PROCESSOR}.max_export_batch_size`,
      env: ["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
    },
    { min: 1, max: 8_192 },
  ),
  delay: milliseconds(
    {
      summary: "How long a request that is not full waits.",
      default: 1_000,
      live: false,
      standard: `${PROCESSOR}.schedule_delay`,
      env: ["OTEL_BLRP_SCHEDULE_DELAY"],
    },
    { min: 0, max: 600_000 },
  ),
  exporter: choice(
    {
      summary: "`none`: no log record is made; the metrics of findings are. In the file: `findings.enabled`.",
      default: "otlp",
      live: false,
      standard: "",
      env: ["OTEL_LOGS_EXPORTER"],
    },
    ["otlp", "none"],
  ),
  ...exporterSettings({ signal: "LOGS", otlp: `${PROCESSOR}.exporter.otlp_grpc`, items: "log records" }),
} as const;
