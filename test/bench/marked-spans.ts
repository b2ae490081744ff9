/**
 * How long the Collector takes from a request to the same request at what it exports to: spans that the stock exporter
 * sends, one after the other, each with a name of its own.
 */
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { eventually } from "../lab/programs/process.ts";
import { decodeSpans } from "../otlp/spans.ts";

const PREFIX = "flowspan-bench-";

export class MarkedSpans {
  readonly #sentMs = new Map<string, number>();
  readonly #tookMs: number[] = [];

  /** To be called with each trace request that arrives. */
  arrived(bytes: Uint8Array): void {
    const nowMs = performance.now();
    if (!Buffer.from(bytes).includes(PREFIX)) return;
    for (const { name } of decodeSpans(bytes)) {
      const sentMs = this.#sentMs.get(name);
      if (sentMs !== undefined) this.#tookMs.push(nowMs - sentMs);
    }
  }

  /** @returns milliseconds of each */
  async send(endpoint: string, count: number): Promise<readonly number[]> {
    const exporter = new OTLPTraceExporter({ url: endpoint });
    const provider = new TracerProvider({
      resource: resourceFromAttributes({ "service.name": "flowspan-bench" }),
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
    });
    const tracer = provider.getTracer("flowspan-bench");
    try {
      for (let i = 0; i < count; i++) {
        const name = `${PREFIX}${i}`;
        const wanted = this.#tookMs.length + 1;
        this.#sentMs.set(name, performance.now());
        tracer.startSpan(name).end();
        await eventually(`span ${name} behind the Collector`, () => this.#tookMs.length >= wanted, 30_000);
      }
    } finally {
      await provider.shutdown();
    }
    return this.#tookMs;
  }
}
