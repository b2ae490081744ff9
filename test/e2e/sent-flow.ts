/** Flows of a pod, sent as an agent sends them: what tests of Collectors' configurations read back. */
import { expect } from "vitest";
import type { Flow, HistogramForm, Resource } from "../../agent/model/flow.ts";
import { FlowEncoder } from "../../agent/otlp/encode.ts";
import { createFlowExporter } from "../../agent/otlp/flow-exporter.ts";
import { createTransport, type TransportOptions } from "../../agent/otlp/transport.ts";
import { FLOW_METRICS } from "../../agent/series/instruments.ts";
import { flow, histogram } from "../unit/otlp/flows.ts";

export const SCOPE = { name: "flowspan", version: "0.1.0", schemaUrl: "https://opentelemetry.io/schemas/1.45.0" };

export const CART: Resource = {
  id: "cart",
  attributes: {
    "k8s.namespace.name": "shop",
    "k8s.pod.name": "cart-1",
    "service.name": "cart",
    "service.namespace": "shop",
    "service.instance.id": "shop.cart-1.web",
  },
};

export const CART_TO_CATALOG = {
  role: "client",
  resource: CART,
  attributes: { "flowspan.role": "client", "service.peer.name": "catalog", "server.port": 8080 },
  // 23 and its kind: primes, so that a number counted twice cannot match by luck.
  counters: { bytesSent: 23_029, bytesReceived: 1_000_003, opened: 23 },
  rtt: histogram({ 40: 19, 44: 4 }, 23 * 1500),
} as const;

/** Prometheus wants points of the present. */
export function now(spec: Parameters<typeof flow>[0]): Flow {
  const timeUnixNs = BigInt(Date.now()) * 1_000_000n;
  return flow({ startUnixNs: timeUnixNs - 15_000_000_000n, ...spec, timeUnixNs });
}

export interface Sending extends Partial<Pick<TransportOptions, "protocol">> {
  readonly form?: HistogramForm;
}

/** Expects that the endpoint accepts all of them. */
export async function exportTo(
  endpoint: string,
  flows: readonly Flow[],
  { protocol = "grpc", form = "exponential" }: Sending = {},
): Promise<void> {
  const silent = { info: () => {}, warn: () => {} };
  const options = { metrics: FLOW_METRICS, temporality: "cumulative", scope: SCOPE } as const;
  const encoder = new FlowEncoder({ ...options, histograms: form });
  const transport = createTransport({ endpoint, protocol, timeoutMs: 10_000 });
  const exporter = createFlowExporter({ encoder, transport, log: silent });
  const results = await exporter.exportFlows(flows);
  await exporter.shutdown();
  expect(results.map(({ outcome }) => outcome)).toEqual([{ state: "accepted", rejectedPoints: 0, message: "" }]);
}
