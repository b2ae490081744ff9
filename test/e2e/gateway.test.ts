/**
 * deploy/otel-collector/examples: a node's Collector and a gateway behind it die and come back while an agent goes on to send. What it
 * then sends is cumulative, so Prometheus holds each sum again.
 */
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type Collector, type CollectorOptions, startCollector } from "../components/collector.ts";
import { type Prometheus, startPrometheus } from "../components/prometheus.ts";
import { needs } from "../machine/needs.ts";
import { CART_TO_CATALOG, exportTo, now } from "./sent-flow.ts";

const test = needs("otelcol", "prometheus");
const EXAMPLES = join(import.meta.dirname, "../../deploy/otel-collector/examples");
/** A Collector tries again after 5 s, then later. */
const RETRIED_MS = 60_000;
const TEST_MS = 180_000;

interface Chain {
  readonly prometheus: Prometheus;
  readonly startGateway: () => Promise<Collector>;
  readonly startNode: () => Promise<Collector>;
  /** One series: what an agent sends of it later is more. */
  send(node: Collector, bytesSent: number): Promise<void>;
}

/** Collectors come back on the ports that they had. */
async function startChain(): Promise<Chain> {
  const prometheus = await startPrometheus({ nativeHistograms: false });
  onTestFinished(() => prometheus.stop());
  const starter = (file: string, env: () => CollectorOptions["env"]) => {
    let last: Collector | undefined;
    onTestFinished(() => last?.stop());
    return async () => {
      const ports = last?.ports;
      last = await startCollector({ configs: [join(EXAMPLES, file)], env: env() ?? {}, ...(ports && { ports }) });
      return last;
    };
  };
  let gateway: Collector | undefined;
  const startingGateway = starter("gateway.yaml", () => ({ REMOTE_WRITE: prometheus.remoteWrite }));
  const startUnixNs = BigInt(Date.now()) * 1_000_000n;
  return {
    prometheus,
    startGateway: async () => {
      gateway = await startingGateway();
      return gateway;
    },
    startNode: starter("node.yaml", () => ({ GATEWAY_ENDPOINT: gateway?.endpoint.replace("http://", "") ?? "" })),
    send: ({ endpoint }, bytesSent) =>
      exportTo(endpoint, [now({ ...CART_TO_CATALOG, startUnixNs, counters: { bytesSent } })]),
  };
}

/** All three run, and Prometheus has the sum. */
async function startWithSum(bytes: number) {
  const chain = await startChain();
  const gateway = await chain.startGateway();
  const node = await chain.startNode();
  await chain.send(node, bytes);
  await sumBecomes(chain, bytes);
  return { chain, gateway, node };
}

async function sumBecomes({ prometheus }: Chain, bytes: number): Promise<void> {
  const query = 'flowspan_tcp_io_bytes_total{k8s_pod_name="cart-1",network_io_direction="transmit"}';
  const samples = await prometheus.queryOnce(query, (all) => all.some(({ value }) => value === bytes), RETRIED_MS);
  expect(samples.map(({ value }) => value)).toEqual([bytes]);
}

test(
  "a gateway that is killed and comes back has every sum, and the node's Collector accepts points meanwhile",
  async () => {
    const { chain, gateway, node } = await startWithSum(23_029);
    await gateway.stop("SIGKILL");
    await chain.send(node, 46_061);
    await chain.startGateway();

    await sumBecomes(chain, 46_061); // the queue of the node's Collector had it: nobody sent it again
    expect(node.log()).not.toMatch(/Dropping data|no more retries left/);
  },
  TEST_MS,
);

test(
  "a node's Collector that is killed with points in its queue loses them, and the next point of a series holds them",
  async () => {
    const { chain, gateway, node } = await startWithSum(23_029);
    await gateway.stop("SIGKILL");
    await chain.send(node, 46_061);
    await node.stop("SIGKILL");
    await chain.startGateway();
    const next = await chain.startNode();
    await chain.send(next, 69_101);

    await sumBecomes(chain, 69_101);
  },
  TEST_MS,
);
