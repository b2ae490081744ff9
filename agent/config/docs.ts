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
import { OURS, ROWS, type Row } from "./settings.ts";

const FILE = new URL("../../docs/configuration.md", import.meta.url);

const INTRODUCTION = `<!-- Generated from agent/config/settings.ts by agent/config/docs.ts: edit there, then run \`npm run generate\`. -->

# Configuration

Every setting has a default that suits a production cluster. Later layers win:

1. defaults
2. one YAML file, named by \`OTEL_CONFIG_FILE\` or \`--config\`; **or**, where there is none, the standard \`OTEL_*\` variables
3. \`FLOWSPAN_*\` variables (only what a container must pass in)
4. flags

With a file, \`OTEL_*\` variables count only where the file names them, as in \`\${OTEL_EXPORTER_OTLP_ENDPOINT}\`: OpenTelemetry's
specification asks for this, and the agent logs which ones it passed over. A standard variable that cannot be read is
ignored with a warning (the specification again). Anything else that is wrong is refused before anything starts: each
field with its file, line and path, what was found, what is allowed and how to mend it, all at once. Names that are not
known are refused too.

The file is [OTel declarative configuration](https://opentelemetry.io/docs/specs/otel/configuration/#declarative-configuration)
1.1. Durations are milliseconds. \`\${NAME}\`, \`\${NAME:-default}\` and \`$$\` work in every value, and \`null\` means the default. Parts of
the schema that flowspan has no use for are checked against the schema and left alone.

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

## Changes while the agent runs

The agent reads the file again when its content changes (also through a ConfigMap's symlinks) and on SIGHUP. Fields
marked "at once" take effect; for the others it logs that a restart is needed and goes on with the old value. A file that is wrong
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
    field.summary,
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
