/**
 * Brings what may be set in two places to one: what a setting inherits from another is filled in, so that nobody
 * asks twice. Pure.
 *
 * OTLP's exporters. In a file, spans and log records are sent as metrics are where nothing else is set for them; an exporter
 * with an endpoint of its own gets nothing that was meant for the other one's server. By variables, each signal
 * stands alone, as OTel's specification has it. A flag is for all of them.
 */
import { ATTR_SERVICE_NAME } from "../generated/semconv.ts";
import { fullEndpoint } from "./endpoint.ts";
import type { Layer, Origin } from "./layer.ts";
import type { Pairs } from "./otlp-fields.ts";
import { settingsFrom } from "./setting-rows.ts";
import type { Settings } from "./settings.ts";

/** Settings without anything left to inherit, and where each value came from. */
export interface Merged {
  readonly settings: Settings;
  readonly origins: ReadonlyMap<string, Origin>;
}

/** @param hasFile whether there is a configuration file, so that OTel's variables do not count */
export function merge({ values, origins }: Layer, hasFile: boolean): Merged {
  const stated = settingsFrom(values);
  const from = new Map(origins);
  const { otlp, resource } = stated;
  const serviceName: Pairs = resource.serviceName === undefined ? {} : { [ATTR_SERVICE_NAME]: resource.serviceName };
  const metrics = {
    ...otlp,
    endpoint: fullEndpoint(otlp.endpoint, otlp.insecure),
    headers: { ...otlp.headersList, ...otlp.headers },
  };
  const exporterOf = <Own extends Exporter>(group: Other, own: Own): Merging<Own> =>
    hasFile ? inheriting(group, own, otlp, origins) : alone(own);
  const others = { traces: exporterOf("traces", stated.traces), logs: exporterOf("logs", stated.logs) };
  for (const [group, { inherited }] of Object.entries(others)) {
    for (const [key, place] of inherited) {
      const origin = origins.get(`otlp.${place}`);
      if (origin !== undefined) from.set(`${group}.${key}`, origin);
    }
  }
  const settings = {
    ...stated,
    interval: values.has("interval") ? stated.interval : (otlp.readerInterval ?? stated.interval),
    otlp: metrics,
    traces: others.traces.settings,
    logs: others.logs.settings,
    resource: { ...resource, attributes: { ...resource.attributesList, ...resource.attributes, ...serviceName } },
  };
  const flagged = origins.get("otlp.endpoint");
  if (flagged?.source !== "command line") return { settings, origins: from };
  for (const group of Object.keys(others)) from.set(`${group}.endpoint`, flagged);
  const flaggedFor = <Own extends Exporter>(own: Own): Own => ({
    ...own,
    endpoint: fullEndpoint(otlp.endpoint, own.insecure ?? false),
  });
  const { traces, logs } = settings;
  return { settings: { ...settings, traces: flaggedFor(traces), logs: flaggedFor(logs) }, origins: from };
}

/** Signals beside metrics. */
type Other = "traces" | "logs";

/** What their exporters have in common. */
type Exporter = Pick<
  Settings[Other],
  "endpoint" | "insecure" | "headers" | "headersList" | "compression" | "timeout" | "caFile" | "certFile" | "keyFile"
>;

interface Merging<Own extends Exporter> {
  readonly settings: Own;
  /** Fields that are the metrics'. */
  readonly inherited: readonly (readonly [key: string, from: string])[];
}

/** What was not set for the signal has OTel's default. */
function alone<Own extends Exporter>(own: Own): Merging<Own> {
  const { endpoint = DEFAULT_ENDPOINT, insecure = false, compression = "none", timeout = 10_000 } = own;
  return {
    settings: {
      ...own,
      endpoint: fullEndpoint(endpoint, insecure),
      headers: { ...own.headersList, ...own.headers },
      insecure,
      compression,
      timeout,
    },
    inherited: [],
  };
}

const DEFAULT_ENDPOINT = "http://localhost:4317";

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
  const { compression = otlp.compression, timeout = otlp.timeout } = set;
  if (set.endpoint !== undefined) {
    const insecure = set.insecure ?? false;
    return {
      settings: { ...set, endpoint: fullEndpoint(set.endpoint, insecure), insecure, headers, compression, timeout },
      inherited: common.map((key) => [key, key]),
    };
  }
  const insecure = set.insecure ?? otlp.insecure;
  const ownPair = own("certFile") || own("keyFile");
  return {
    settings: {
      ...set,
      endpoint: fullEndpoint(otlp.endpoint, insecure),
      insecure,
      headers: ownHeaders ? headers : { ...otlp.headersList, ...otlp.headers },
      compression,
      timeout,
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
