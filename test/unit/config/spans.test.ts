/** What the configuration says of spans: how they wait, and which are kept. */
import { describe, expect, test } from "vitest";
import { probeSettings, spanLimits } from "../../../agent/runtime/options.ts";
import { type Given, load, ours, refusal, yaml } from "./given.ts";

test("the queue is the batch processor's of the file", () => {
  const file = yaml(
    "tracer_provider: {processors: [{batch: {schedule_delay: 100, max_queue_size: 23, exporter: {otlp_grpc: {}}}}]}",
  );

  expect(spanLimits(load({ file }).settings)).toEqual({ queue: 23, batch: 512, delayMs: 100 });
});

describe("what is recorded", () => {
  const KEY = [1n, 2n] as const;
  const recorded = (given: Given) => probeSettings(load(given).settings, KEY).recording;

  test("by default: trouble of every kind, one in a hundred of the rest, at a bounded rate", () => {
    expect(probeSettings(load({}).settings, KEY)).toEqual({
      idleNs: 300_000_000_000n,
      edgesShare: 100,
      records: true,
      recording: {
        activeTimeoutNs: 0n,
        traceKey: KEY,
        threshold: 0xfd70a000000000n,
        every: 0,
        adaptive: { rttUs: 100_000, retransmits: 3 },
        rate: { perSecond: 1000, burst: 1000 },
      },
    });
  });

  test("every strategy can be set, and any limit turned off", () => {
    const file = ours(
      "spans:",
      "  active_timeout: 60000",
      "  sampling: {probability: 0.25, every: 23, rtt: 0, retransmits: -1}",
      "  rate: 0",
    );

    expect(recorded({ file })).toEqual({
      activeTimeoutNs: 60_000_000_000n,
      traceKey: KEY,
      threshold: 0xc0_0000_0000_0000n,
      every: 23,
      adaptive: { rttUs: 0, retransmits: 0xffff_ffff },
      rate: { perSecond: 0, burst: 1000 },
    });
  });

  test("a field's former name is read, with a warning", () => {
    const file = ours("spans: {stretch: 60000}");
    const path = "distribution.flowspan.spans";

    expect(recorded({ file })?.activeTimeoutNs).toBe(60_000_000_000n);
    expect(load({ file }).warnings).toEqual([
      expect.stringMatching(`: ${path}.stretch is called ${path}.active_timeout now$`),
    ]);
  });

  test.each(["spans: {stretch: 60000, active_timeout: 30000}", "spans: {active_timeout: 30000, stretch: 60000}"])(
    "a field under both of its names is refused: %s",
    (both) => {
      expect(refusal({ file: ours(both) })).toMatch(
        /found: {3}the same setting under two names: .* is there too\n.*\n {2}remedy: {2}remove distribution\.flowspan\.spans\.stretch$/,
      );
    },
  );

  test.each<[string, Given]>([
    ["spans are off", { file: ours("spans: {enabled: false}") }],
    ["no strategy is on", { file: ours("spans: {sampling: {probability: 0, adaptive: false}}") }],
    ["OTel's sampler is always_off", { env: { OTEL_TRACES_SAMPLER: "always_off" } }],
    ["OTel's exporter of traces is none", { env: { OTEL_TRACES_EXPORTER: "none" } }],
    ["the agent is disabled", { env: { OTEL_SDK_DISABLED: "true" } }],
  ])("nothing is recorded when %s", (_, given) => {
    expect(probeSettings(load(given).settings, KEY)).toEqual({
      idleNs: 300_000_000_000n,
      edgesShare: 100,
      records: false,
    });
  });

  test.each<[Record<string, string>, bigint]>([
    [{ OTEL_TRACES_SAMPLER: "always_on" }, 0n],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.5" }, 0x80_0000_0000_0000n],
    [{ OTEL_TRACES_SAMPLER: "parentbased_traceidratio" }, 0n],
  ])("%o keeps what is not below %d", (env, threshold) => {
    expect(recorded({ env })?.threshold).toBe(threshold);
  });
});
