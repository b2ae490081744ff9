/** The configuration's layers: which one wins, and what is said of the others. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { settingsFrom } from "../../../agent/config/setting-rows.ts";
import { exportsMetrics } from "../../../agent/runtime/options.ts";
import { load, ours, yaml } from "./given.ts";

describe("layers", () => {
  const EXPORTER = {
    protocol: "grpc",
    endpoint: "http://localhost:4317",
    insecure: false,
    compression: "none",
    timeout: 10_000,
  };

  test("without anything set, every setting has the table's default", () => {
    const defaults = settingsFrom(new Map());

    expect(load({})).toEqual({
      settings: {
        ...defaults,
        resource: { attributes: {}, attributesList: {}, serviceName: undefined },
        traces: { ...defaults.traces, ...EXPORTER },
        logs: { ...defaults.logs, ...EXPORTER },
      },
      originOf: expect.any(Function),
      file: undefined,
      warnings: [],
    });
  });

  test("a flag wins over the file, and the file over the default", () => {
    const { settings } = load({ file: ours("interval: 2000", "cluster: from-file"), flags: { interval: "3000" } });

    expect([settings.interval, settings.cluster, settings.probe.edges]).toEqual([3000, "from-file", 65536]);
  });

  test("a FLOWSPAN_ variable wins over the file, a flag over both", () => {
    const file = ours("kubernetes:", "  node: from-file");
    const env = { FLOWSPAN_NODE_NAME: "from-env" };

    expect(load({ file, env }).settings.kubernetes.node).toBe("from-env");
    expect(load({ file, env, flags: { node: "from-flag" } }).settings.kubernetes.node).toBe("from-flag");
  });

  test("with a file, OTEL_ variables count only where the file names them", () => {
    const given = {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a substitution of the file
      file: ours("cluster: ${OTEL_SERVICE_NAME}"),
      env: { OTEL_SERVICE_NAME: "eu", OTEL_EXPORTER_OTLP_ENDPOINT: "http://elsewhere:1", FLOWSPAN_CLUSTER: "" },
    };

    const { settings, warnings } = load(given);

    expect([settings.cluster, settings.otlp.endpoint, settings.resource.serviceName]).toEqual([
      "eu",
      "http://localhost:4317",
      undefined,
    ]);
    expect(warnings).toEqual([
      "with a configuration file these variables count only where it names them: OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_ENDPOINT",
    ]);
  });

  test("without a file, the standard variables are read, those for metrics before the general ones", () => {
    const { settings, warnings } = load({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://general:4317",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "https://metrics:4317",
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc,x-tenant=7",
        OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
        OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
        OTEL_EXPORTER_OTLP_CERTIFICATE: "/ca.pem",
        OTEL_METRIC_EXPORT_INTERVAL: "7000",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=prod,service.name=loses",
        OTEL_SERVICE_NAME: "watcher",
        OTEL_LOG_LEVEL: "VERBOSE",
        OTEL_SDK_DISABLED: "True",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "LowMemory",
      },
    });

    const { otlp, resource } = settings;
    expect([otlp.endpoint, otlp.headers, otlp.timeout, otlp.compression, otlp.caFile, otlp.temporality]).toEqual([
      "https://metrics:4317",
      { authorization: "Bearer abc", "x-tenant": "7" },
      2500,
      "gzip",
      "/ca.pem",
      "low_memory",
    ]);
    expect(resource.attributes).toEqual({ "deployment.environment.name": "prod", "service.name": "watcher" });
    expect([settings.interval, settings.logLevel, settings.disabled, warnings]).toEqual([7000, "trace", true, []]);
  });

  test("a standard variable that cannot be read is ignored with a warning", () => {
    const { settings, warnings } = load({
      env: { OTEL_METRIC_EXPORT_INTERVAL: "soon", OTEL_EXPORTER_OTLP_HEADERS: "secret" },
    });

    expect([settings.interval, settings.otlp.headers]).toEqual([15000, {}]);
    expect(warnings).toEqual([
      [
        "environment: OTEL_METRIC_EXPORT_INTERVAL",
        '  found:   "soon"',
        "  allowed: milliseconds, a whole number from 100 to 3600000",
        "  remedy:  write a whole number",
        "  the variable is ignored, as OpenTelemetry's specification asks",
      ].join("\n"),
      [
        "environment: OTEL_EXPORTER_OTLP_METRICS_HEADERS".replace("METRICS_", ""),
        "  found:   (a secret, not shown)",
        "  allowed: NAME=VALUE pairs, separated by commas",
        "  remedy:  write NAME=VALUE,NAME=VALUE; percent-encode commas and equals signs",
        "  the variable is ignored, as OpenTelemetry's specification asks",
      ].join("\n"),
    ]);
  });

  test("the exporter of metrics may be none, which leaves the one of spans alone", () => {
    const { settings, warnings } = load({ env: { OTEL_METRICS_EXPORTER: "none" } });

    expect([exportsMetrics(settings), settings.traces.exporter, warnings]).toEqual([false, "otlp", []]);
    expect(exportsMetrics(load({ env: { OTEL_METRICS_EXPORTER: "otlp" } }).settings)).toBe(true);
    expect(exportsMetrics(load({ env: { OTEL_SDK_DISABLED: "true" } }).settings)).toBe(false);
  });

  test.each([
    ["OTEL_METRICS_EXPORTER", "prometheus", "otlp, none"],
    ["OTEL_METRICS_EXPORTER", "otlp,console", "otlp, none"],
    ["OTEL_TRACES_EXPORTER", "zipkin", "otlp, none"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "grpc, http/protobuf"],
    [
      "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
      "summary",
      "base2_exponential_bucket_histogram, explicit_bucket_histogram",
    ],
  ])("who asks for what is not spoken is told: %s=%s", (name, found, allowed) => {
    const { warnings } = load({ env: { [name]: found } });

    expect(warnings.map((warning) => warning.split("\n").slice(0, 3))).toContainEqual([
      `environment: ${name}`,
      `  found:   "${found}"`,
      `  allowed: ${allowed}`,
    ]);
  });

  test("an endpoint without a scheme gets TLS unless insecure says otherwise", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317" };

    expect(load({ env }).settings.otlp.endpoint).toBe("https://collector:4317");
    expect(load({ env: { ...env, OTEL_EXPORTER_OTLP_INSECURE: "true" } }).settings.otlp.endpoint).toBe(
      "http://collector:4317",
    );
  });

  test("an IPv6 host without brackets gets them, for metrics and for spans, with and without a scheme", () => {
    const scheme = fc.constantFrom("http://", "https://", "");

    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65535 }), scheme, (ip, port, scheme) => {
        const read = (endpoint: string) => {
          const { settings, warnings } = load({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } });
          return { metrics: settings.otlp.endpoint, spans: settings.traces.endpoint, warnings };
        };

        expect(read(`${scheme}${ip}:${port}`)).toEqual({
          metrics: `${scheme || "https://"}[${ip}]:${port}`,
          spans: `${scheme || "https://"}[${ip}]:${port}`,
          warnings: [],
        });
        expect(read(`${scheme}[${ip}]:${port}`)).toEqual(read(`${scheme}${ip}:${port}`));
      }),
    );
  });

  test("an IPv6 address without a port is refused in words that mend it", () => {
    const { warnings } = load({ env: { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://fd00:10::5" } });

    expect(warnings.map((warning) => warning.split("\n").slice(0, 4))).toEqual([
      [
        "environment: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        '  found:   "http://fd00:10::5"',
        "  allowed: http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:PATH",
        "  remedy:  write http://HOST:PORT, an IPv6 address in brackets: http://[fd00::5]:4317",
      ],
    ]);
  });

  test("OTel's own sections are read from the file, and what has no effect is said", () => {
    const { settings, warnings, file } = load({
      file: yaml(
        "log_level: debug2",
        "resource:",
        "  attributes_list: a=1,b=2",
        "  attributes:",
        "    - {name: b, value: 3}",
        "propagator: {composite: [{tracecontext: {}}]}",
        "meter_provider:",
        "  readers:",
        "    - periodic:",
        "        interval: 4000",
        "        exporter:",
        "          otlp_grpc:",
        "            endpoint: http://collector:4317",
        "            headers: [{name: authorization, value: abc}]",
        "            tls: {ca_file: /ca.pem}",
        "            temporality_preference: delta",
        "distribution: {someone_else: {x: 1}}",
      ),
    });

    const { otlp } = settings;
    expect([settings.logLevel, settings.interval, settings.resource.attributes]).toEqual([
      "debug",
      4000,
      { a: "1", b: "3" },
    ]);
    expect([otlp.endpoint, otlp.headers, otlp.caFile, otlp.temporality]).toEqual([
      "http://collector:4317",
      { authorization: "abc" },
      "/ca.pem",
      "delta",
    ]);
    expect(warnings).toEqual([`${file}: propagator has no effect on flowspan`]);
  });

  test("a flag that switches Kubernetes off wins over a file that names a kubeconfig; beside it, one of them is wrong", () => {
    const named = ours("kubernetes: {kubeconfig: /k}");
    const both = ours("kubernetes: {enabled: off, kubeconfig: /k}");

    expect(load({ file: named, flags: { kubernetes: "off" } }).settings.kubernetes.enabled).toBe("off");
    expect(() => load({ file: both })).toThrow(/:4: distribution\.flowspan\.kubernetes\.kubeconfig/);
    expect(() => load({ flags: { kubernetes: "off", kubeconfig: "/k" } })).toThrow(/command line: --kubeconfig/);
  });

  test("null means the default, and our interval wins over the reader's", () => {
    const file = `${ours("interval: 500", "cluster: null", "probe: {edges: null, socket: }")}
meter_provider: {readers: [{periodic: {interval: 4000, exporter: {otlp_grpc: {endpoint: null}}}}]}`;

    const { settings } = load({ file });

    expect([settings.interval, settings.cluster, settings.probe.edges]).toEqual([500, undefined, 65536]);
    expect([settings.probe.socket, settings.otlp.endpoint]).toEqual([
      "/run/flowspan/probe.sock",
      "http://localhost:4317",
    ]);
  });
});
