/**
 * The part of the table that is about connection spans: flowspan's own fields, and the places and variables
 * that OTel has for whatever sends spans. What is left out of the latter is as the metrics' exporter has it.
 */
import { exporterSettings } from "./exporter-settings.ts";
import { boolean, choice, integer, milliseconds, optional, ratio, secretPath } from "./fields.ts";

const PROCESSOR = "tracer_provider.processors[0].batch";
const OTLP = `${PROCESSOR}.exporter.otlp_grpc`;
const inner = { summary: "", live: false } as const;

/** What is kept of healthy connections where nothing was set: enough for the service map, little to store. */
export const DEFAULT_PROBABILITY = 0.01;

export const SPAN_SETTINGS = {
  enabled: boolean({
    summary: "Make a span of each end of a connection that sampling keeps. Metrics are the same either way.",
    default: true,
    live: true,
  }),
  activeTimeout: milliseconds(
    {
      summary:
        "Report a connection that stays open by an interim record after each period of this length, as a child of its span; 0: only at its end.",
      default: 0,
      live: true,
      formerly: "stretch",
    },
    { min: 0, max: 86_400_000 },
  ),
  sampling: {
    probability: optional(
      {
        summary:
          "Keep this share of all connections, the same ones at both ends; 1: all of them. Without any strategy no span is made.",
        default: undefined,
        defaultText: `\`OTEL_TRACES_SAMPLER\`, else \`${DEFAULT_PROBABILITY}\``,
        live: true,
      },
      ratio({ ...inner, default: DEFAULT_PROBABILITY }),
    ),
    every: integer(
      {
        summary: "Keep each CPU's every Nth connection, whatever it is; 0: not by number.",
        default: 0,
        live: true,
      },
      { min: 0, max: 4_294_967_295 },
    ),
    adaptive: boolean({
      summary:
        "Keep every connection that failed or was reset, and those that pass one of the next two limits; each end goes by what it has seen, so one may be kept alone.",
      default: true,
      live: true,
    }),
    rtt: milliseconds(
      { summary: "Adaptive: keep what has a newest RTT over this; 0: whatever it is.", default: 100, live: true },
      { min: 0, max: 4_000_000 },
    ),
    retransmits: integer(
      {
        summary: "Adaptive: keep what was retransmitted more often than this; -1: however often.",
        default: 3,
        live: true,
      },
      { min: -1, max: 1_000_000 },
    ),
  },
  rate: integer(
    {
      summary:
        "At most this many spans a second from each CPU, in the long run; what is over it is shed and counted. 0: no limit.",
      // Of a core for each CPU, 2 %: 20 µs a span in agent and probe.
      default: 1_000,
      live: true,
    },
    { min: 0, max: 1_000_000 },
  ),
  burst: integer(
    { summary: "As many spans may come at once from each CPU.", default: 1_000, live: true },
    { min: 1, max: 1_000_000 },
  ),
  keyFile: optional(
    {
      summary:
        "File with the key of the trace ids, 16 bytes or 32 hex digits: the same for all agents whose spans shall meet. Read again when it changes.",
      default: undefined,
      defaultText: "a key that everybody knows",
      live: false,
      env: ["FLOWSPAN_TRACE_KEY_FILE"],
    },
    secretPath({ ...inner, default: "" }),
  ),
} as const;

export const TRACE_SETTINGS = {
  queue: integer(
    {
      summary: "Spans that may wait for the Collector; what finds no room is dropped and counted.",
      default: 8_192,
      live: false,
      standard: `${PROCESSOR}.max_queue_size`,
      env: ["OTEL_BSP_MAX_QUEUE_SIZE"],
    },
    { min: 1, max: 1_000_000 },
  ),
  batch: integer(
    {
      summary: "Spans in one request.",
      default: 512,
      live: false,
      standard: `${PROCESSOR}.max_export_batch_size`,
      env: ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
    },
    { min: 1, max: 8_192 },
  ),
  delay: milliseconds(
    {
      summary: "How long a request that is not full waits.",
      default: 5_000,
      live: false,
      standard: `${PROCESSOR}.schedule_delay`,
      env: ["OTEL_BSP_SCHEDULE_DELAY"],
    },
    { min: 0, max: 600_000 },
  ),
  exporter: choice(
    {
      summary: "`none`: no span is made. In the file: `spans.enabled`.",
      default: "otlp",
      live: false,
      standard: "",
      env: ["OTEL_TRACES_EXPORTER"],
    },
    ["otlp", "none"],
  ),
  sampler: optional(
    {
      summary:
        "`always_off`: no span is made; the others set `spans.sampling.probability` where that is not set. In the file: that field.",
      default: undefined,
      defaultText: "not set",
      live: false,
      standard: "",
      env: ["OTEL_TRACES_SAMPLER"],
    },
    choice({ ...inner, default: "traceidratio" }, [
      "always_on",
      "always_off",
      "traceidratio",
      "parentbased_always_on",
      "parentbased_always_off",
      "parentbased_traceidratio",
    ]),
  ),
  samplerArg: optional(
    {
      summary: "The share that `traceidratio` keeps.",
      default: undefined,
      defaultText: "`1`",
      live: false,
      standard: "",
      env: ["OTEL_TRACES_SAMPLER_ARG"],
    },
    ratio({ ...inner, default: 1 }),
  ),
  ...exporterSettings({ signal: "TRACES", otlp: OTLP, items: "spans" }),
} as const;
