/** What a Collector holds, with one thing wrong in each: a test of the checks. Pure. */
import type { AttributeValue } from "../../agent/model/attribute.ts";
import type { ReceivedPoint } from "../otlp/metric-points.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import type { Heard } from "./agent-result.ts";
import { MACHINE_LOSSES } from "./judge.ts";

export interface Wrong {
  readonly what: string;
  readonly heard: Heard;
}

/** Nobody else has measured them. */
const UNMEASURED_ATTRIBUTES: ReadonlySet<string> = new Set([
  ...["flowspan.tcp.rtt.min", "flowspan.tcp.rtt.smoothed", "flowspan.tcp.rtt.last"],
]);

export function wrongSpans(heard: Heard): Wrong[] {
  return heard.spans.flatMap((span, i) => {
    const name = `${span.kind} span ${i} of port ${span.attributes["server.port"]}`;
    const with_ = (what: string, change: Partial<ReceivedSpan>): Wrong => ({
      what: `${name}: ${what}`,
      heard: { ...heard, spans: heard.spans.map((each) => (each === span ? { ...span, ...change } : each)) },
    });
    const attributes = Object.entries(span.attributes)
      .filter(([key]) => !UNMEASURED_ATTRIBUTES.has(key))
      .flatMap(([key, value]) => [
        with_(`another ${key}`, { attributes: { ...span.attributes, [key]: another(value) } }),
      ]);
    return [
      ...attributes,
      ...Object.entries(wrongFields(span)).map(([what, change]) => with_(what, change)),
      { what: `${name}: missing`, heard: { ...heard, spans: heard.spans.filter((each) => each !== span) } },
      { what: `${name}: twice`, heard: { ...heard, spans: [...heard.spans, span] } },
    ];
  });
}

const SECOND = 1_000_000_000n;

function wrongFields(span: ReceivedSpan): Record<string, Partial<ReceivedSpan>> {
  const { kind, startUnixNs, endUnixNs, events, status } = span;
  return {
    name: { name: "connection" },
    kind: { kind: kind === "client" ? "server" : "client" },
    "trace id": { traceId: "1".repeat(32) },
    "span id": { spanId: "1".repeat(16) },
    parent: { parentSpanId: "1".repeat(16) },
    "trace state": { traceState: "" },
    "begins early": { startUnixNs: startUnixNs - SECOND },
    "begins late": { startUnixNs: startUnixNs + SECOND },
    "ends early": { endUnixNs: endUnixNs - SECOND },
    "ends late": { endUnixNs: endUnixNs + SECOND },
    status: { status: status === "error" ? "unset" : "error" },
    "dropped events": { droppedEvents: 1 },
    "no events": { events: [] },
    "one event less": { events: events.slice(1) },
    "events turned round": events.length > 1 ? { events: events.toReversed() } : { events: [] },
    "another's": { resource: { ...span.resource, "container.id": "0".repeat(64) } },
  };
}

/** The RTT has no second count, and a listener's drops have none here. */
const UNMEASURED_METRICS: ReadonlySet<string> = new Set(["flowspan.tcp.rtt", "flowspan.tcp.listener.drops"]);
const OF_ITSELF = ["flowspan.losses", "flowspan.spans.accepted", "flowspan.spans.observed", "flowspan.spans.pending"];
const WATCHED = /^flowspan\.(?:tcp|coverage)\./;

/** Each series, in all its points. */
export function wrongPoints(heard: Heard): Wrong[] {
  const watched = heard.points.filter(
    ({ metric, attributes }) =>
      (WATCHED.test(metric) || OF_ITSELF.includes(metric)) &&
      !MACHINE_LOSSES.includes(String(attributes["flowspan.loss.reason"])),
  );
  return [...Map.groupBy(watched, nameOf)].flatMap(([name, series]) => {
    const with_ = (what: string, change: (point: ReceivedPoint) => Partial<ReceivedPoint>): Wrong => ({
      what: `${name}: ${what}`,
      heard: {
        ...heard,
        points: heard.points.map((each) => (series.includes(each) ? { ...each, ...change(each) } : each)),
      },
    });
    const [{ metric }] = series as [ReceivedPoint];
    const value = with_("value", (point) => ({ value: point.value + 1 }));
    if (!metric.startsWith("flowspan.tcp.")) return [value];
    return [
      ...(UNMEASURED_METRICS.has(metric) ? [] : [value, with_("buckets", moved)]),
      with_("name", () => ({ metric: "flowspan.tcp.other" })),
      with_("another's", ({ resource }) => ({ resource: { ...resource, "container.id": "0".repeat(64) } })),
    ].filter(({ what }) => !what.endsWith("buckets") || series.some(({ buckets }) => buckets));
  });
}

function nameOf({ metric, attributes, resource }: ReceivedPoint): string {
  return [metric, ...Object.values(attributes), String(resource["container.id"] ?? "itself").at(-1)].join(" ");
}

/** Each value in the bucket of something four times as large. */
function moved({ buckets }: ReceivedPoint): Partial<ReceivedPoint> {
  return { buckets: new Map([...(buckets ?? [])].map(([index, count]) => [index + 16, count])) };
}

function another(value: AttributeValue): AttributeValue {
  if (typeof value === "number") return Number.isInteger(value) ? value + 1 : value * 1.5;
  if (typeof value === "boolean") return !value;
  return typeof value === "string" ? `${value}0` : [...value, "0"];
}
