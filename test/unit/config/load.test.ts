/** The configuration's layers: which one wins, what is refused and in which words. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyLive, compareSettings } from "../../../agent/config/change.ts";
import { configurationPage } from "../../../agent/config/docs.ts";
import { readFlags } from "../../../agent/config/flags.ts";
import { type Config, loadConfig, loadSchemaCheck } from "../../../agent/config/load.ts";
import { probeSettings, spanLimits, spanTransportOptions } from "../../../agent/config/options.ts";
import { ROWS, settingsFrom } from "../../../agent/config/settings.ts";

let directory: string;
let checkSchema: Awaited<ReturnType<typeof loadSchemaCheck>>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-config-"));
  checkSchema = await loadSchemaCheck();
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Given {
  readonly file?: string;
  readonly env?: Record<string, string>;
  readonly flags?: Record<string, string | boolean>;
}

let files = 0;

function load({ file, env = {}, flags = {} }: Given): Config {
  if (file === undefined) return loadConfig({ env, flags, checkSchema });
  const path = join(directory, `${files++}.yaml`);
  writeFileSync(path, file);
  return loadConfig({ env: { ...env, OTEL_CONFIG_FILE: path }, flags, checkSchema });
}

/** The whole error's text, with the file called FILE. */
function refusal(given: Given): string {
  try {
    load(given);
  } catch (error) {
    return (error as Error).message.replaceAll(join(directory, `${files - 1}.yaml`), "FILE");
  }
  throw new Error("nothing was refused");
}

const yaml = (...lines: string[]) => ['file_format: "1.1"', ...lines].join("\n");
const ours = (...lines: string[]) => yaml("distribution:", "  flowspan:", ...lines.map((line) => `    ${line}`));

describe("layers", () => {
  test("without anything set, every setting has the table's default", () => {
    expect(load({})).toEqual({
      settings: {
        ...settingsFrom(new Map()),
        resource: { attributes: {}, attributesList: {}, serviceName: undefined },
      },
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
      "delta",
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

  test.each([
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "grpc"],
    [
      "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
      "explicit_bucket_histogram",
      "base2_exponential_bucket_histogram",
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

  test("OTel's own sections are read from the file, and what has no effect is said", () => {
    const { settings, warnings, file } = load({
      file: yaml(
        "log_level: debug2",
        "resource:",
        "  attributes_list: a=1,b=2",
        "  attributes:",
        "    - {name: b, value: 3}",
        "logger_provider: {processors: [{simple: {exporter: {console: {}}}}]}",
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
    expect(warnings).toEqual([`${file}: logger_provider has no effect on flowspan`]);
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

describe("refusals", () => {
  test("every wrong field is named at once, with line, path, what was found, what is allowed and the remedy", () => {
    const file = ours(
      "interval: 15s",
      "intervall: 15000",
      "probe:",
      "  edges: 8",
      "  socket: probe.sock",
      "kubernetes: {enabled: yes, pod_lables: [team]}",
      "cidrs:",
      "  office: [10.0.0.0/8, 10.0.0.0/33]",
      "admin: 9464",
    );

    expect(refusal({ file, flags: { flows: "many" } })).toBe(`the configuration has 9 problems:
FILE:4: distribution.flowspan.interval
  found:   "15s"
  allowed: milliseconds, a whole number from 100 to 3600000
  remedy:  write it in milliseconds: 15000
FILE:5: distribution.flowspan.intervall
  found:   a field that flowspan does not know
  allowed: cluster, interval, coverage, user, probe, budget, peer, kubernetes, directory, cidrs, scopes, spans, admin
  remedy:  did you mean interval?
FILE:7: distribution.flowspan.probe.edges
  found:   8
  allowed: a whole number from 16 to 1000000
  remedy:  write 16 or more
FILE:8: distribution.flowspan.probe.socket
  found:   "probe.sock"
  allowed: an absolute path of at most 107 bytes
  remedy:  begin it with a slash
FILE:9: distribution.flowspan.kubernetes.enabled
  found:   "yes"
  allowed: auto, on, off
  remedy:  write one of them; auto is the default
FILE:9: distribution.flowspan.kubernetes.pod_lables
  found:   a field that flowspan does not know
  allowed: enabled, kubeconfig, node, scope, metadata, pod_labels, pod_annotations, app_labels
  remedy:  did you mean pod_labels?
FILE:11: distribution.flowspan.cidrs.office[1]
  found:   "10.0.0.0/33"
  allowed: a list of IP prefixes, as 10.0.0.0/8 or fd00::/8
  remedy:  write a length from 0 to 32
FILE:12: distribution.flowspan.admin
  found:   9464
  allowed: a group of socket, address
  remedy:  write socket: on a line of its own below it
command line: --flows
  found:   "many"
  allowed: a whole number from 1 to 1000000
  remedy:  write a whole number`);
  });

  const cases: [name: string, given: Given, message: string][] = [
    [
      "a section misspelt at the top",
      { file: yaml("distributon: {flowspan: {}}") },
      `FILE:2: distributon
  found:   a field that flowspan does not know
  allowed: file_format, distribution, disabled, log_level, resource, meter_provider, tracer_provider
  remedy:  did you mean distribution?`,
    ],
    [
      "a file without its format",
      { file: "log_level: info" },
      `FILE: file_format
  found:   no such field
  allowed: "1.0" or "1.1", in quotes
  remedy:  add the line file_format: "1.1"`,
    ],
    [
      "broken YAML",
      { file: yaml('log_level: "info') },
      `FILE:2: (file)
  found:   Missing closing "quote
  allowed: YAML 1.2
  remedy:  mend the syntax at this line`,
    ],
    [
      "a field twice",
      { file: yaml("log_level: info", "log_level: debug") },
      `FILE:3: (file)
  found:   Map keys must be unique
  allowed: YAML 1.2
  remedy:  mend the syntax at this line`,
    ],
    [
      "a malformed substitution",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a substitution of the file
      { file: yaml("log_level: ${a b}") },
      `FILE:2: (file)
  found:   "\${a b}"
  allowed: \${NAME}, \${NAME:-default}, \${env:NAME}; $$ for a dollar sign
  remedy:  mend the substitution`,
    ],
    [
      "an exporter that flowspan does not have",
      { file: yaml("meter_provider: {readers: [{periodic: {exporter: {otlp_http: {}}}}]}") },
      `FILE:2: meter_provider.readers[0].periodic.exporter.otlp_http
  found:   something that flowspan does not do
  allowed: otlp_grpc
  remedy:  use otlp_grpc, and port 4317 of the Collector`,
    ],
    [
      "a secret in the wrong form, without showing it",
      { file: yaml("meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: {headers: [hunter2]}}}}]}") },
      `FILE:2: meter_provider.readers[0].periodic.exporter.otlp_grpc.headers[0]
  found:   (a secret, not shown)
  allowed: a list of name and value
  remedy:  give it a name and a value`,
    ],
    [
      "what only OTel's schema knows, in a part that flowspan does not read",
      { file: yaml("logger_provider: {processors: 7}") },
      `FILE: logger_provider.processors
  found:   a value outside of OTel's schema
  allowed: must be array
  remedy:  compare with https://opentelemetry.io/docs/specs/otel-config/types/`,
    ],
    [
      "a FLOWSPAN_ variable",
      { env: { FLOWSPAN_PROBE_SOCKET: "here" } },
      `environment: FLOWSPAN_PROBE_SOCKET
  found:   "here"
  allowed: an absolute path of at most 107 bytes
  remedy:  begin it with a slash`,
    ],
    [
      "half of a client certificate",
      { env: { OTEL_EXPORTER_OTLP_CLIENT_KEY: "/key.pem" } },
      `configuration: meter_provider.readers[0].periodic.exporter.otlp_grpc.tls
  found:   key_file without cert_file
  allowed: both or none
  remedy:  set the other one too (OTEL_EXPORTER_OTLP_CLIENT_KEY, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)`,
    ],
    [
      "a replica of the directory without its port",
      { file: ours("directory: {addresses: [directory.flowspan.svc]}") },
      `FILE: distribution.flowspan.directory.addresses[0]
  found:   "directory.flowspan.svc"
  allowed: HOST:PORT
  remedy:  add the port that it listens on: flowspan-directory.flowspan.svc:9483`,
    ],
    [
      "names from a directory that is nowhere",
      { file: ours("kubernetes: {metadata: directory}", "directory: {addresses: []}") },
      `FILE: distribution.flowspan.directory.addresses
  found:   an empty list
  allowed: HOST:PORT of the replicas
  remedy:  name at least one, or set kubernetes.metadata to watch`,
    ],
    [
      "half of the directory's certificate",
      { file: ours("directory: {key_file: /a.key}") },
      `FILE: distribution.flowspan.directory.key_file
  found:   key_file without cert_file
  allowed: both or none
  remedy:  set cert_file too`,
    ],
    [
      "a directory without TLS and with certificates",
      { file: ours("directory: {insecure: true, ca_file: /ca.crt}") },
      `FILE: distribution.flowspan.directory.insecure
  found:   true, and certificates besides
  allowed: no ca_file, cert_file or key_file while insecure is true
  remedy:  remove the one that is not meant`,
    ],
  ];

  test.each(cases)("%s is refused in words that mend it", (_name, given, message) => {
    expect(refusal(given)).toBe(`the configuration has 1 problem:\n${message}`);
  });

  test("a file that is not there is refused", () => {
    const path = join(directory, "missing.yaml");

    expect(() => loadConfig({ env: {}, flags: { config: path }, checkSchema })).toThrow(
      `the configuration has 1 problem:\n${path}: (file)\n  found:   ENOENT\n  allowed: a file that this user can read\n  remedy:  ls -l ${path}`,
    );
  });
});

describe("changes", () => {
  test("a change is split into what takes effect at once and what needs a restart", () => {
    const before = load({ file: ours("interval: 1000") }).settings;
    const after = load({ file: `${ours("interval: 2000", "probe: {edges: 100}")}\nlog_level: debug` }).settings;

    const change = compareSettings(before, after);
    const applied = applyLive(before, after);

    expect(change).toEqual({
      live: ["distribution.flowspan.interval", "log_level"],
      restart: ["distribution.flowspan.probe.edges"],
    });
    expect([applied.interval, applied.logLevel, applied.probe.edges]).toEqual([2000, "debug", 65536]);
  });
});

describe("the table", () => {
  test("no two settings share a place, a flag or a variable, but for OTLP's general ones", () => {
    const isGeneral = (name: string) => /^OTEL_EXPORTER_OTLP_(?!METRICS_|TRACES_)/.test(name);
    const taken = ROWS.flatMap(({ path, field }) => [
      path,
      field.flag ?? "",
      ...(field.env ?? []).filter((name) => !isGeneral(name)),
    ]).filter(Boolean);

    expect(taken).toEqual([...new Set(taken)]);
  });

  test("every flag's default, written as the flag, is taken and gives the default", () => {
    const flags = ROWS.filter(({ field }) => field.flag !== undefined && field.default !== undefined);

    for (const { keys, field } of flags) {
      const stated = typeof field.default === "boolean" ? field.default : String(field.default);
      const read = readFlags({ [field.flag as string]: stated });
      expect(read).toEqual({ values: new Map([[keys.join("."), field.default]]), problems: [] });
    }
  });

  test("the tree's page is the table's", () => {
    const page = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");

    expect(page).toBe(configurationPage());
  });

  test("the page names every setting", () => {
    const page = configurationPage();

    for (const { path, field } of ROWS)
      expect(page).toContain(path === "" ? (field.env?.[0] ?? "") : (path.split(".").at(-1) as string));
  });
});
