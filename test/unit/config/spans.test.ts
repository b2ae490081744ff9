/** What the configuration says of spans: how they are sent, and which are kept. */
import { describe, expect, test } from "vitest";
import { probeSettings, spanLimits, spanTransportOptions } from "../../../agent/config/options.ts";
import { type Given, load, ours, yaml } from "./given.ts";

describe("what spans are sent with", () => {
  const transportOf = (given: Given) => {
    const { endpoint, headers, compression, timeoutMs } = spanTransportOptions(load(given).settings, "1");
    return { endpoint, headers, compression, timeoutMs };
  };

  test("is what metrics are sent with where nothing else was said", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317", OTEL_EXPORTER_OTLP_INSECURE: "true" };
    const file = yaml(
      "meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: {endpoint: 'http://c:1', compression: gzip}}}}]}",
    );

    expect([transportOf({ env }), transportOf({ file })]).toEqual([
      { endpoint: "http://collector:4317", headers: {}, compression: "none", timeoutMs: 10_000 },
      { endpoint: "http://c:1", headers: {}, compression: "gzip", timeoutMs: 10_000 },
    ]);
  });

  test("is what the variables for traces say, and the metrics' headers never go to another endpoint", () => {
    const env = {
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: "authorization=metrics",
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://traces:4317",
      OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "23",
      OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    };

    expect(transportOf({ env })).toEqual({
      endpoint: "http://traces:4317",
      headers: {},
      compression: "gzip",
      timeoutMs: 23,
    });
  });

  test("is what the file's tracer provider says", () => {
    const file = yaml(
      "tracer_provider:",
      "  processors:",
      "    - batch:",
      "        schedule_delay: 100",
      "        max_queue_size: 23",
      "        exporter:",
      "          otlp_grpc:",
      "            endpoint: http://traces:4317",
      "            headers: [{name: x-tenant, value: seven}]",
    );

    expect(transportOf({ file })).toMatchObject({ endpoint: "http://traces:4317", headers: { "x-tenant": "seven" } });
    expect(spanLimits(load({ file }).settings)).toEqual({ queue: 23, batch: 512, delayMs: 100 });
  });
});

describe("what is recorded", () => {
  const KEY = [1n, 2n] as const;
  const recorded = (given: Given) => probeSettings(load(given).settings, KEY).recording;

  test("by default: trouble of every kind, one in a hundred of the rest, at a bounded rate", () => {
    expect(probeSettings(load({}).settings, KEY)).toEqual({
      idleNs: 300_000_000_000n,
      records: true,
      recording: {
        stretchNs: 0n,
        traceKey: KEY,
        threshold: 0xfd70a000000000n,
        every: 0,
        adaptive: { rttUs: 100_000, retransmits: 3 },
        rate: { perSecond: 100, burst: 1000 },
      },
    });
  });

  test("every strategy can be set, and any limit turned off", () => {
    const file = ours(
      "spans:",
      "  stretch: 60000",
      "  sampling: {probability: 0.25, every: 23, rtt: 0, retransmits: -1}",
      "  rate: 0",
    );

    expect(recorded({ file })).toEqual({
      stretchNs: 60_000_000_000n,
      traceKey: KEY,
      threshold: 0xc0_0000_0000_0000n,
      every: 23,
      adaptive: { rttUs: 0, retransmits: 0xffff_ffff },
      rate: { perSecond: 0, burst: 1000 },
    });
  });

  test.each<[string, Given]>([
    ["spans are off", { file: ours("spans: {enabled: false}") }],
    ["no strategy is on", { file: ours("spans: {sampling: {probability: 0, adaptive: false}}") }],
    ["OTel's sampler is always_off", { env: { OTEL_TRACES_SAMPLER: "always_off" } }],
    ["OTel's exporter of traces is none", { env: { OTEL_TRACES_EXPORTER: "none" } }],
    ["the agent is disabled", { env: { OTEL_SDK_DISABLED: "true" } }],
  ])("nothing is recorded when %s", (_, given) => {
    expect(probeSettings(load(given).settings, KEY)).toEqual({ idleNs: 300_000_000_000n, records: false });
  });

  test.each<[Record<string, string>, bigint]>([
    [{ OTEL_TRACES_SAMPLER: "always_on" }, 0n],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.5" }, 0x80_0000_0000_0000n],
    [{ OTEL_TRACES_SAMPLER: "parentbased_traceidratio" }, 0n],
  ])("%o keeps what is not below %d", (env, threshold) => {
    expect(recorded({ env })?.threshold).toBe(threshold);
  });
});
