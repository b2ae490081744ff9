/**
 * Brings what may be set in two places to one: what a setting inherits from another is filled in, so that nobody
 * asks twice. Pure.
 *
 * OTLP's exporters. In a file, spans and log records are sent as metrics are where nothing else is set for them; an exporter
 * with an endpoint or a protocol of its own gets nothing that was meant for the other one's server. By variables, each signal
 * stands alone, as OTel's specification has it. A flag is for all of them.
 */
import { ATTR_SERVICE_NAME } from "../generated/semconv.ts";
import { type FullEndpoint, grpcEndpoint, httpEndpoint } from "./endpoint.ts";
import type { Layer, Origin } from "./layer.ts";
import type { Pairs } from "./otlp-fields.ts";
import { settingsFrom } from "./setting-rows.ts";
import type { Settings } from "./settings.ts";

/** Settings without anything left to inherit, and where each value came from. */
export interface Merged {
  readonly settings: Settings;
  readonly origins: ReadonlyMap<string, Origin>;
  /** What of an endpoint was left out or guessed. */
  readonly warnings: readonly string[];
}

/** @param hasFile whether there is a configuration file, so that OTel's variables do not count */
export function merge({ values, origins }: Layer, hasFile: boolean): Merged {
  const stated = settingsFrom(values);
  const from = new Map(origins);
  const { otlp, resource } = stated;
  const serviceName: Pairs = resource.serviceName === undefined ? {} : { [ATTR_SERVICE_NAME]: resource.serviceName };
  const exporterOf = <Own extends Exporter>(group: Other, own: Own): Merging<Own> =>
    hasFile ? inheriting(group, own, otlp, origins) : { settings: alone(own), inherited: [] };
  const others = { traces: exporterOf("traces", stated.traces), logs: exporterOf("logs", stated.logs) };
  for (const [group, { inherited }] of Object.entries(others)) {
    for (const [key, place] of inherited) {
      const origin = origins.get(`otlp.${place}`);
      if (origin !== undefined) from.set(`${group}.${key}`, origin);
    }
  }
  const flagged = origins.get("otlp.endpoint");
  const isFlagged = flagged?.source === "command line";
  if (isFlagged) for (const group of Object.keys(others)) from.set(`${group}.endpoint`, flagged);
  const [traces, logs] = [others.traces.settings, others.logs.settings];
  const warnings: string[] = [];
  const placed = <Own extends Pick<Exporter, "protocol" | "insecure">>(group: Group, own: Own, set?: string) => {
    const written = isFlagged ? otlp.endpoint : set;
    const origin = from.get(`${group}.endpoint`);
    const { value, note } = fullEndpoint(written, { ...own, group, origin });
    if (note !== undefined && origin !== undefined) warnings.push(`${origin.source}: ${origin.path}: ${note}`);
    return { ...own, endpoint: value };
  };
  const settings = {
    ...stated,
    interval: values.has("interval") ? stated.interval : (otlp.readerInterval ?? stated.interval),
    otlp: placed(
      "otlp",
      { ...otlp, headers: { ...otlp.headersList, ...otlp.headers } },
      flagged === undefined ? undefined : otlp.endpoint,
    ),
    traces: placed("traces", traces, traces.endpoint),
    logs: placed("logs", logs, logs.endpoint),
    resource: { ...resource, attributes: { ...resource.attributesList, ...resource.attributes, ...serviceName } },
  };
  return { settings, origins: from, warnings };
}

/** Signals beside metrics. */
type Other = "traces" | "logs";
type Group = "otlp" | Other;

/** What their exporters have in common. */
type Exporter = Pick<
  Settings[Other],
  | "endpoint"
  | "protocol"
  | "insecure"
  | "headers"
  | "headersList"
  | "compression"
  | "timeout"
  | "caFile"
  | "certFile"
  | "keyFile"
>;

interface Merging<Own extends Exporter> {
  readonly settings: Own;
  /** Fields that are the metrics'. */
  readonly inherited: readonly (readonly [key: string, from: string])[];
}

/** Below a base endpoint. */
const PATHS = { otlp: "/v1/metrics", traces: "/v1/traces", logs: "/v1/logs" } as const;

interface Way extends Pick<Exporter, "protocol" | "insecure"> {
  readonly group: Group;
  /** Undefined: nothing was set. */
  readonly origin: Origin | undefined;
}

/** What is for all signals is a base to which each signal's path is appended; what is for one is taken as it is. */
function fullEndpoint(written: string | undefined, { group, origin, protocol, insecure = false }: Way): FullEndpoint {
  if (protocol !== "http/protobuf") return grpcEndpoint(written ?? "http://localhost:4317", insecure);
  const below = PATHS[group];
  if (written === undefined) return httpEndpoint("http://localhost:4318", insecure, below);
  const isBase = origin?.source === "command line" || origin?.path === "OTEL_EXPORTER_OTLP_ENDPOINT";
  return httpEndpoint(written, insecure, isBase ? below : undefined);
}

/** What was not set for the signal has OTel's default. */
function alone<Own extends Exporter>(own: Own): Own {
  const { insecure = false, compression = "none", timeout = 10_000, protocol = "grpc" } = own;
  return { ...own, headers: { ...own.headersList, ...own.headers }, insecure, compression, timeout, protocol };
}

/** What was not set for the signal is as for metrics, unless it belongs to another server. */
function inheriting<Own extends Exporter>(
  group: Other,
  set: Own,
  otlp: Settings["otlp"],
  origins: Layer["origins"],
): Merging<Own> {
  const own = (key: string) => origins.has(`${group}.${key}`);
  const common = ["compression", "timeout"].filter((key) => !own(key));
  const ownHeaders = own("headers") || own("headersList");
  const headers = { ...set.headersList, ...set.headers };
  const { compression = otlp.compression, timeout = otlp.timeout, protocol = otlp.protocol } = set;
  if (set.endpoint !== undefined || protocol !== otlp.protocol) {
    const insecure = set.insecure ?? false;
    return {
      settings: { ...set, protocol, insecure, headers, compression, timeout },
      inherited: common.map((key) => [key, key]),
    };
  }
  const insecure = set.insecure ?? otlp.insecure;
  const ownPair = own("certFile") || own("keyFile");
  // Over HTTP the metrics' endpoint has their path.
  const endpoint = origins.has("otlp.endpoint") ? otlp.endpoint.replace(/\/v1\/metrics$/, PATHS[group]) : undefined;
  return {
    settings: {
      ...set,
      ...{ endpoint, protocol, insecure, compression, timeout },
      headers: ownHeaders ? headers : { ...otlp.headersList, ...otlp.headers },
      caFile: set.caFile ?? otlp.caFile,
      certFile: ownPair ? set.certFile : otlp.certFile,
      keyFile: ownPair ? set.keyFile : otlp.keyFile,
    },
    inherited: [
      ...common.map((key) => [key, key] as const),
      ["endpoint", "endpoint"],
      ...(ownHeaders ? [] : ([["headers", Object.keys(otlp.headers).length > 0 ? "headers" : "headersList"]] as const)),
      ...(own("caFile") ? [] : ([["caFile", "caFile"]] as const)),
      ...(ownPair ? [] : (["certFile", "keyFile"] as const).map((key) => [key, key] as const)),
    ],
  };
}
