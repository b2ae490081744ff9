/**
 * Active findings → flowspan.findings.active, one point for each Resource, name and peer's node, as an OTLP request of the stock serializer.
 *
 * What has none any more is sent as 0 until the Collector has accepted that; then it is forgotten. Times are
 * Unix nanoseconds.
 */
import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AggregationTemporality, DataPointType, type ResourceMetrics } from "@opentelemetry/sdk-metrics";
import { FINDINGS } from "../generated/findings.ts";
import {
  ATTR_FLOWSPAN_FINDING_NAME,
  ATTR_FLOWSPAN_FINDING_SEVERITY,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  METRIC_FLOWSPAN_FINDINGS_ACTIVE,
} from "../generated/semconv.ts";
import type { ActiveFinding } from "../model/active-finding.ts";
import type { Logger } from "../shared/logger.ts";
import { OutcomeLog } from "./outcome-log.ts";
import type { InstrumentationScope } from "./plan.ts";
import type { Transport } from "./transport.ts";

interface Count {
  readonly finding: ActiveFinding;
  value: number;
}

export class ActiveFindingsExporter {
  readonly #transport: Transport;
  readonly #scope: InstrumentationScope;
  readonly #outcomes: OutcomeLog;
  /** What the Collector may still show, by Resource, name and peer's node. */
  readonly #shown = new Map<string, Count>();
  #sending: Promise<void> = Promise.resolve();
  #isBusy = false;

  constructor(transport: Transport, scope: InstrumentationScope, log: Logger) {
    this.#transport = transport;
    this.#scope = scope;
    this.#outcomes = new OutcomeLog(log, transport, {
      failed: "the metric of findings is not accepted",
      worksAgain: "the metric of findings is accepted again",
      inPart: "the Collector accepted the metric of findings in part",
    });
  }

  /** Begins to send what is active now. While a request is under way the next call leaves it at that. */
  send(active: readonly ActiveFinding[], timeUnixNs: bigint): void {
    this.#count(active);
    if (this.#shown.size === 0 || this.#isBusy) return;
    this.#isBusy = true;
    this.#sending = this.#sendShown(timeUnixNs).finally(() => {
      this.#isBusy = false;
    });
  }

  /** Sends once more that nothing is active. The transport stays its maker's to shut down. */
  async end(timeUnixNs: bigint): Promise<void> {
    await this.#sending;
    this.send([], timeUnixNs);
    await this.#sending;
  }

  #count(active: readonly ActiveFinding[]): void {
    for (const count of this.#shown.values()) count.value = 0;
    for (const finding of active) {
      const key = `${finding.name} ${peerNodeOf(finding)} ${finding.subject.id}`;
      const known = this.#shown.get(key);
      if (known === undefined) this.#shown.set(key, { finding, value: 1 });
      else known.value++;
    }
  }

  async #sendShown(timeUnixNs: bigint): Promise<void> {
    const sent = [...this.#shown].map(([key, { finding, value }]) => ({ key, finding, value }));
    // Requests join by concatenation: each holds one repeated field.
    const parts = sent.map(({ finding, value }) =>
      ProtobufMetricsSerializer.serializeRequest(resourceMetricsOf(finding, value, timeUnixNs, this.#scope)),
    );
    const outcome = await this.#transport.send(Buffer.concat(parts.map((part) => part ?? new Uint8Array(0))));
    this.#outcomes.take(outcome, (rejectedPoints) => ({ rejectedPoints }));
    if (outcome.state !== "accepted") return;
    for (const { key, value } of sent) if (value === 0 && this.#shown.get(key)?.value === 0) this.#shown.delete(key);
  }
}

/** "" where it is about no traffic, or traffic with several nodes. */
function peerNodeOf({ evidence }: ActiveFinding): string {
  return String(evidence[ATTR_FLOWSPAN_PEER_K8S_NODE_NAME] ?? "");
}

const NS_PER_S = 1_000_000_000n;

function resourceMetricsOf(
  finding: ActiveFinding,
  value: number,
  timeUnixNs: bigint,
  scope: InstrumentationScope,
): ResourceMetrics {
  const { name, subject, sinceUnixNs } = finding;
  const { name: metric, description, unit } = METRIC_FLOWSPAN_FINDINGS_ACTIVE;
  const peerNode = peerNodeOf(finding);
  const hrTime = (ns: bigint): [number, number] => [Number(ns / NS_PER_S), Number(ns % NS_PER_S)];
  return {
    resource: resourceFromAttributes({ ...subject.resource } as never, { schemaUrl: scope.schemaUrl }),
    scopeMetrics: [
      {
        scope,
        metrics: [
          {
            descriptor: { name: metric, description, unit, valueType: ValueType.INT },
            aggregationTemporality: AggregationTemporality.CUMULATIVE,
            dataPointType: DataPointType.SUM,
            isMonotonic: false,
            dataPoints: [
              {
                startTime: hrTime(sinceUnixNs),
                endTime: hrTime(timeUnixNs),
                attributes: {
                  [ATTR_FLOWSPAN_FINDING_NAME]: name,
                  [ATTR_FLOWSPAN_FINDING_SEVERITY]: FINDINGS[name].severity,
                  ...(peerNode === "" ? {} : { [ATTR_FLOWSPAN_PEER_K8S_NODE_NAME]: peerNode }),
                },
                value,
              },
            ],
          },
        ],
      },
    ],
  };
}
