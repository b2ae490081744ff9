/** What is refused, and in which words. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../../agent/config/load.ts";
import { checkSchema, directory, type Given, ours, refusal, yaml } from "./given.ts";

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
  allowed: cluster, interval, coverage, user, probe, budget, peer, kubernetes, directory, cidrs, scopes, spans, findings, admin
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
  allowed: file_format, distribution, disabled, log_level, resource, meter_provider, tracer_provider, logger_provider
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
      `FILE:2: log_level
  found:   "\${a b}"
  allowed: \${NAME}, \${NAME:-default}, \${env:NAME}; $$ for a dollar sign
  remedy:  mend the substitution`,
    ],
    [
      "an exporter that flowspan does not have",
      { file: yaml("meter_provider: {readers: [{periodic: {exporter: {console: {}}}}]}") },
      `FILE:2: meter_provider.readers[0].periodic.exporter.console
  found:   something that flowspan does not do
  allowed: otlp_grpc, otlp_http
  remedy:  use otlp_grpc or otlp_http, and let the Collector write`,
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
      { file: yaml("propagator: {composite: 7}") },
      `FILE: propagator.composite
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
      `environment: OTEL_EXPORTER_OTLP_CLIENT_KEY
  found:   key_file without cert_file
  allowed: both or none
  remedy:  set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE too`,
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
