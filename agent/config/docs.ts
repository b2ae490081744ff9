/**
 * docs/configuration.md, made from the table of settings.
 *
 *   node agent/config/docs.ts --docs           prints it
 *   node agent/config/docs.ts --docs --write   writes it into the tree
 *   node agent/config/docs.ts --docs --check   fails when the tree's copy is stale
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defaultText } from "./flags.ts";
import { OURS, ROWS, type Row } from "./setting-rows.ts";

const FILE = new URL("../../docs/configuration.md", import.meta.url);

const INTRODUCTION = `<!-- Generated from agent/config/settings.ts by agent/config/docs.ts: edit there, then run \`npm run generate\`. -->

# Configuration

Every setting has a default that suits a production cluster. Later layers win:

1. defaults
2. one YAML file, named by \`OTEL_CONFIG_FILE\` or \`--config\`; **or**, where there is none, the standard \`OTEL_*\` variables
3. \`FLOWSPAN_*\` variables (only what a container must pass in)
4. flags

With a file, \`OTEL_*\` variables count only where the file names them, as in \`\${OTEL_EXPORTER_OTLP_ENDPOINT}\`. OpenTelemetry's
specification asks for this, and the agent logs which variables it left out. It ignores a standard variable that it cannot read,
with a warning (the specification again). It refuses everything else that is wrong before it starts. It names each
field with its file, line and path, what was found, what is allowed and how to mend it, all at once. It refuses unknown
names too. As root, flowspan also refuses a file that a user other than root, or the one that has called sudo, owns or may write to: the
file names the program that root starts as the probe.

The file is [OTel declarative configuration](https://opentelemetry.io/docs/specs/otel/configuration/#declarative-configuration)
1.1. Durations are milliseconds. \`\${NAME}\`, \`\${NAME:-default}\` and \`$$\` work in every value, and \`null\` means the default. flowspan checks
parts that it does not use against the schema, and ignores them. In flowspan's own section the text of a variable stays text where a
setting is text: a node named \`48211907\` or \`9e42\` needs no quotes. In OpenTelemetry's sections the schema asks for quotes.

\`\`\`yaml
file_format: "1.1"
log_level: info
resource:
  attributes:
    - name: deployment.environment.name
      value: production
meter_provider:
  readers:
    - periodic:
        exporter:
          otlp_grpc:
            endpoint: http://otel-collector.observability:4317
            compression: gzip
distribution:
  flowspan:
    cluster: shop-eu
    interval: 15000
    kubernetes:
      node: \${NODE_NAME}
      pod_labels: [team]
    cidrs:
      office: [203.0.113.0/24, 2001:db8:1::/48]
\`\`\`

## Where metrics and spans go

flowspan sends OTLP over gRPC, or as protobuf over HTTP: \`OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\`, or that of one signal. In a file the exporter's
name says it: \`otlp_http\` has the fields of \`otlp_grpc\`, and \`encoding\`, which is \`protobuf\`. Both are sent once, and what is not accepted
is sent again by the same rules.

| where | over gRPC | over HTTP |
|---|---|---|
| nothing is set | \`http://localhost:4317\` | \`http://localhost:4318/v1/metrics\`, \`/v1/traces\`, \`/v1/logs\` |
| \`OTEL_EXPORTER_OTLP_ENDPOINT\`, \`--endpoint\` | host and port | a base: each signal's path is appended |
| \`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT\` and its like, \`endpoint\` in a file | host and port | the whole URL, taken as it is |

In a file, each field that is not set for spans is as for metrics. An exporter of spans with an
\`endpoint\` or a protocol of its own inherits only \`compression\` and \`timeout\`, since headers and certificates were meant for the other server.
Where it inherits the
metrics' \`endpoint\` over HTTP, its own path replaces \`/v1/metrics\` at the end. Variables are for each signal alone, as OpenTelemetry has it: \`OTEL_EXPORTER_OTLP_METRICS_*\` does not apply to spans. The flag
\`--endpoint\` is for both.

Without a file, variables mean the same as for the stock OpenTelemetry JS exporters for gRPC and HTTP, with these differences
(test/unit/config/otlp-variables.test.ts and otlp-http-variables.test.ts compare them):

| variable | flowspan | the stock exporter |
|---|---|---|
| \`…_ENDPOINT=http://HOST\`, \`http://HOST:80\` over gRPC | port 80, and a warning where no port is written | port 443 |
| \`…_ENDPOINT=HOST:PORT\` over HTTP | TLS, or none, by \`…_INSECURE\`, as over gRPC | no request is made |
| \`…_ENDPOINT=https://USER:PASSWORD@HOST/PATH?QUERY\` over HTTP | user, password and query are left out, with a warning | sent, and a path is appended to the query |
| \`…_ENDPOINT=unix:PATH\` | a socket, without TLS | a host named \`unix\`; with \`unix://\` TLS on the socket |
| \`…_ENDPOINT\` with an IPv6 address without brackets | takes it | throws |
| \`…_ENDPOINT\` with another scheme | ignored with a warning | TLS, or none, by \`…_INSECURE\` |
| \`…_HEADERS\` with white space around a value, as a line break at its end | left out, with a warning | throws at each export, and prints the value |
| \`…_HEADERS\` with another character or name that gRPC or HTTP/2 refuses, or a pair that cannot be read | the whole list is ignored with a warning | throws, prints the value, or leaves out the pair |
| \`…_HEADERS=a=1;x\` | the value is \`1;x\` | the value is \`1\` |
| \`…_TIMEOUT\` | whole milliseconds from 1 to 600000 | any positive number |
| \`…_COMPRESSION\`, \`…_INSECURE\` of one signal that cannot be read | as if not set: the general one counts | the default |
| \`…_PROTOCOL=http/json\` | ignored with a warning: flowspan sends no JSON | another exporter |
| \`…_CERTIFICATE\`, \`…_CLIENT_*\` that cannot be used | refused at the start | ignored |
| \`OTEL_RESOURCE_ATTRIBUTES\` with an equals sign in a value, or one of more than 255 characters | taken | all of it is discarded |

Other variables of OpenTelemetry have no effect.

Without a \`ca_file\` flowspan trusts the certificates that the system trusts: \`SSL_CERT_FILE\` and \`SSL_CERT_DIR\`, else the distribution's
files. It adds \`NODE_EXTRA_CA_CERTS\`. For OTLP and the directory, \`GRPC_DEFAULT_SSL_ROOTS_FILE_PATH\` replaces them. Where there are none, as in a
slim image, it trusts those that come with Node. The same holds for the directory and for an API server whose kubeconfig names no CA.
gRPC uses the proxy of \`grpc_proxy\`, \`https_proxy\` or \`http_proxy\` (in small letters, \`http://\` only). It uses no proxy for a host that ends
like an entry of \`no_grpc_proxy\` or \`no_proxy\`. Over HTTP Node uses the proxy of \`https_proxy\` or \`http_proxy\`, by the endpoint's scheme, and
\`no_proxy\`, in capitals too; the proxy itself is \`http://\` or \`https://\`. \`GRPC_DEFAULT_SSL_ROOTS_FILE_PATH\` is for gRPC alone.

## Changes while the agent runs

The agent reads the file again when its content changes (also through a ConfigMap's symlinks) and on SIGHUP. Fields
marked "at once" take effect. For the others it logs that a restart is needed, and goes on with the old value. A file that is wrong
changes nothing: the agent keeps its settings, logs every problem and counts the failure.
`;

const code = (text: string): string => (text === "" ? "" : `\`${text}\``);
const cell = (text: string): string => text.replaceAll("|", "\\|");

function rowText({ path, field }: Row, prefix: string): string {
  const short = path.startsWith(`${prefix}.`) ? path.slice(prefix.length + 1) : path;
  const stated =
    field.defaultText ?? (Array.isArray(field.default) ? field.default.map(code).join(", ") : code(defaultText(field)));
  const flag =
    field.flag === undefined
      ? ""
      : code(`--${field.flag}${field.placeholder === undefined ? "" : ` ${field.placeholder}`}`);
  const env = (field.env ?? []).map(code).join(", ");
  const cells = [
    path === "" ? "(not in the file)" : code(short),
    field.formerly === undefined
      ? field.summary
      : `${field.summary} Its former name ${code(field.formerly)} is still read, with a warning.`,
    field.allowed,
    stated,
    [flag, env].filter(Boolean).join(", "),
  ];
  return `| ${[...cells, field.live ? "at once" : "restart"].map(cell).join(" | ")} |`;
}

const HEADER = "| Field | What it does | Allowed | Default | Flag, variables | A change |\n|---|---|---|---|---|---|";

/** The whole page. */
export function configurationPage(): string {
  const ours = ROWS.filter(({ path }) => path.startsWith(OURS));
  const standard = ROWS.filter(({ path }) => !path.startsWith(OURS));
  const otlp = "meter_provider.readers[0].periodic";
  const traces = "tracer_provider.processors[0].batch";
  return [
    INTRODUCTION,
    `## flowspan's own: \`${OURS}\`\n\n${HEADER}\n${ours.map((row) => rowText(row, OURS)).join("\n")}\n`,
    `## OpenTelemetry's\n\n${HEADER}\n${standard
      .filter(({ path }) => path !== "" && !path.startsWith(otlp) && !path.startsWith(traces))
      .map((row) => rowText(row, ""))
      .join("\n")}\n`,
    `### The exporter: \`${otlp}\`\n\n${HEADER}\n${standard
      .filter(({ path }) => path.startsWith(otlp))
      .map((row) => rowText(row, otlp))
      .join("\n")}\n`,
    `### The exporter of spans: \`${traces}\`\n\n${HEADER}\n${standard
      .filter(({ path }) => path.startsWith(traces))
      .map((row) => rowText(row, traces))
      .join("\n")}\n`,
    `### Only as variables\n\n${HEADER}\n${standard
      .filter(({ path }) => path === "")
      .map((row) => rowText(row, ""))
      .join("\n")}\n`,
  ].join("\n");
}

/** @returns the exit code */
function main(args: readonly string[]): number {
  if (!args.includes("--docs")) {
    process.stderr.write("Usage: node agent/config/docs.ts --docs [--write | --check]\n");
    return 2;
  }
  const page = configurationPage();
  if (args.includes("--write")) writeFileSync(FILE, page);
  else if (!args.includes("--check")) process.stdout.write(page);
  else if (readFileSync(FILE, "utf8") !== page) {
    process.stderr.write("docs/configuration.md is stale: run node agent/config/docs.ts --docs --write\n");
    return 1;
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
