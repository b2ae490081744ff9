/**
 * Which paths of a configuration file are fields: flowspan's, by the table of settings, and those of OTel's schema that
 * it leaves out or does in another way.
 *
 * A path is a field's place in the file: `distribution.flowspan.probe.socket`, `meter_provider.readers[0].periodic`.
 */
import { suggest } from "./problem.ts";
import { OURS, ROWS } from "./setting-rows.ts";

/** Where OTel puts an exporter in the file, and the group of `Settings` that it is. */
const EXPORTERS: Readonly<Record<string, string>> = {
  "meter_provider.readers[0].periodic.exporter": "otlp",
  "tracer_provider.processors[0].batch.exporter": "traces",
  "logger_provider.processors[0].batch.exporter": "logs",
};

const PROTOCOLS = { otlp_grpc: "grpc", otlp_http: "http/protobuf" } as const;

/** What an exporter's name says: the setting, and its value; undefined for any other path. */
export function protocolAt(path: string): { readonly keys: readonly string[]; readonly value: string } | undefined {
  const [, place = "", name = ""] = /^(.*)\.([^.]+)$/.exec(path) ?? [];
  const group = EXPORTERS[place];
  if (group === undefined || !(name in PROTOCOLS)) return undefined;
  return { keys: [group, "protocol"], value: PROTOCOLS[name as keyof typeof PROTOCOLS] };
}

/** Both exporters have the same fields: the path of the row that is meant. */
export const canonical = (path: string): string => path.replace(/(\.exporter)\.otlp_http(?=$|\.|\[)/, "$1.otlp_grpc");

/** flowspan sends no JSON. */
export const isEncoding = (path: string): boolean => /\.exporter\.otlp_http\.encoding$/.test(path);

export const ROW_BY_PATH = new Map(ROWS.filter(({ path }) => path !== "").map((row) => [row.path, row]));

/** Rows by their former path. */
export const ROW_BY_FORMER_PATH = new Map(
  ROWS.flatMap((row) =>
    row.field.formerly === undefined ? [] : [[row.path.replace(/[^.]+$/, row.field.formerly), row] as const],
  ),
);

/** Every path that has fields below it: `distribution`, `meter_provider.readers`, `meter_provider.readers[0]`, … */
export const GROUPS = new Set([...ROW_BY_PATH.keys()].flatMap(prefixesOf));

/** `a.b[0].c` → `a`, `a.b`, `a.b[0]`. */
function prefixesOf(path: string): string[] {
  return [...path.matchAll(/\.|\[/g)].map((match) => path.slice(0, match.index));
}

/** The names that may stand below a path, in the table's order. */
export function knownBelow(path: string): string[] {
  if (path === "distribution") return [OURS.split(".")[1] as string];
  const start = path === "" ? "" : `${path}.`;
  const below = [...(path === "" ? ["file_format"] : []), ...ROW_BY_PATH.keys()].filter((candidate) =>
    candidate.startsWith(start),
  );
  const names = below.map((candidate) => candidate.slice(start.length).split(/[.[]/)[0] as string);
  return [...new Set([...names, ...(path in EXPORTERS ? ["otlp_http"] : [])])];
}

/** Another distribution's section, or a field of a kind that OTel leaves to others. */
export function isForeign(path: string): boolean {
  return (
    /^distribution\.[^.]+$/.test(path) &&
    !path.startsWith(OURS) &&
    suggest(path.split(".")[1] ?? "", ["flowspan"]) === undefined
  );
}

/** OTel's own parts that flowspan has no use for, as patterns on paths. */
const UNUSED = [
  /^(attribute_limits|propagator)$/,
  /^tracer_provider\.(limits|tracer_configurator\/development)$/,
  /^logger_provider\.(limits|logger_configurator\/development)$/,
  /^(tracer|logger)_provider\.processors\[0\]\.batch\.export_timeout$/,
  /^instrumentation\/development$/,
  /^resource\.(schema_url|detection\/development)$/,
  /^meter_provider\.(views|exemplar_filter|meter_configurator\/development)$/,
  /^meter_provider\.readers\[0\]\.periodic\.(timeout|producers|cardinality_limits|max_export_batch_size\/development)$/,
];

export const isUnused = (path: string): boolean => UNUSED.some((pattern) => pattern.test(path));

/** OTel's ways to do what flowspan does in one way only. */
const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [
    /^meter_provider\.readers\[0\]\.pull$/,
    "flowspan pushes: use periodic with an otlp_grpc or otlp_http exporter, and let the Collector serve Prometheus",
  ],
  [/\.exporter\.(otlp_file\/development|console)$/, "use otlp_grpc or otlp_http, and let the Collector write"],
  [/^tracer_provider\.sampler$/, "set distribution.flowspan.spans.sampling"],
  [/^(tracer|logger)_provider\.processors\[0\]\.simple$/, "use batch with an otlp_grpc or otlp_http exporter"],
  [
    /^(tracer|logger)_provider\.processors\[[1-9]\d*\]$/,
    "keep one processor; let the Collector send to several places",
  ],
  [/^meter_provider\.readers\[[1-9]\d*\]$/, "keep one reader; let the Collector send to several places"],
];

/** What to do instead; undefined where flowspan knows nothing of it. */
export const insteadOf = (path: string): string | undefined => INSTEAD.find(([pattern]) => pattern.test(path))?.[1];

const SECRETS = ROWS.filter(({ field }) => field.secret).map(({ path }) => path);

/** Of what stands at the path, in it or below it. */
export const holdsSecret = (path: string): boolean =>
  SECRETS.some((secret) => canonical(path).startsWith(secret) || secret.startsWith(canonical(path)));
