/**
 * Brings what may be set in two places to one: what a setting inherits from another is filled in, so that nobody
 * asks twice. Pure.
 *
 * OTLP's exporters. In a file, spans are sent as metrics are where nothing else is set for them; an exporter of
 * spans with an endpoint of its own gets nothing that was meant for the other one's server. By variables, each signal
 * stands alone, as OTel's specification has it. A flag is for both.
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
  const spans = hasFile ? inheriting(stated, origins) : alone(stated);
  for (const [key, inherited] of spans.inherited) {
    const origin = origins.get(`otlp.${inherited}`);
    if (origin !== undefined) from.set(`traces.${key}`, origin);
  }
  const settings = {
    ...stated,
    interval: values.has("interval") ? stated.interval : (otlp.readerInterval ?? stated.interval),
    otlp: metrics,
    traces: spans.traces,
    resource: { ...resource, attributes: { ...resource.attributesList, ...resource.attributes, ...serviceName } },
  };
  const flagged = origins.get("otlp.endpoint");
  if (flagged?.source !== "command line") return { settings, origins: from };
  from.set("traces.endpoint", flagged);
  const endpoint = fullEndpoint(otlp.endpoint, spans.traces.insecure ?? false);
  return { settings: { ...settings, traces: { ...spans.traces, endpoint } }, origins: from };
}

interface Spans {
  readonly traces: Settings["traces"];
  /** Fields that are the metrics'. */
  readonly inherited: readonly (readonly [key: string, from: string])[];
}

/** What was not set for spans has OTel's default. */
function alone({ traces }: Settings): Spans {
  const { endpoint = DEFAULT_ENDPOINT, insecure = false, compression = "none", timeout = 10_000 } = traces;
  return {
    traces: {
      ...traces,
      endpoint: fullEndpoint(endpoint, insecure),
      headers: { ...traces.headersList, ...traces.headers },
      insecure,
      compression,
      timeout,
    },
    inherited: [],
  };
}

const DEFAULT_ENDPOINT = "http://localhost:4317";

/** What was not set for spans is as for metrics, unless it belongs to another server. */
function inheriting({ traces, otlp }: Settings, origins: Layer["origins"]): Spans {
  const own = (key: string) => origins.has(`traces.${key}`);
  const common = ["compression", "timeout"].filter((key) => !own(key));
  const ownHeaders = own("headers") || own("headersList");
  const headers = { ...traces.headersList, ...traces.headers };
  const { compression = otlp.compression, timeout = otlp.timeout } = traces;
  if (traces.endpoint !== undefined) {
    const insecure = traces.insecure ?? false;
    return {
      traces: { ...traces, endpoint: fullEndpoint(traces.endpoint, insecure), insecure, headers, compression, timeout },
      inherited: common.map((key) => [key, key]),
    };
  }
  const insecure = traces.insecure ?? otlp.insecure;
  const ownPair = own("certFile") || own("keyFile");
  return {
    traces: {
      ...traces,
      endpoint: fullEndpoint(otlp.endpoint, insecure),
      insecure,
      headers: ownHeaders ? headers : { ...otlp.headersList, ...otlp.headers },
      compression,
      timeout,
      caFile: traces.caFile ?? otlp.caFile,
      certFile: ownPair ? traces.certFile : otlp.certFile,
      keyFile: ownPair ? traces.keyFile : otlp.keyFile,
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
