/**
 * A real OpenTelemetry Collector for a test: started on free ports with the configuration that we ship, its
 * file exporter read back.
 *
 * The file is the Collector's own decoding of our bytes, by code that shares nothing with ours.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "../shared/free-ports.ts";
import { component } from "./find.ts";
import { answers, askUntil, Running } from "./running.ts";

/** The configuration of deploy/otel-collector/. */
export const SHIPPED_CONFIG = fileURLToPath(new URL("../../deploy/otel-collector/collector.yaml", import.meta.url));

export interface CollectorOptions {
  /** Files to merge, later ones win; by default the shipped one. */
  readonly configs?: readonly string[];
  /** Environment, for `${env:NAME}` in the configurations; wins over what is set below. */
  readonly env?: Readonly<Record<string, string>>;
  /** Take these again, for a Collector that comes back. */
  readonly ports?: CollectorPorts;
}

export interface CollectorPorts {
  readonly otlp: number;
  readonly prometheus: number;
  readonly health: number;
}

export interface Collector {
  readonly ports: CollectorPorts;
  /** For OTEL_EXPORTER_OTLP_ENDPOINT: OTLP over gRPC. */
  readonly endpoint: string;
  /** `HOST:PORT` for Prometheus to scrape. */
  readonly scrapeTarget: string;
  /** What the file exporter has written so far: an object of OTLP JSON per batch. */
  batches(): object[];
  /** Waits until the batches are as wanted, and gives them; the last ones when the deadline has passed. */
  batchesOnce(areRight: (batches: object[]) => boolean, deadlineMs?: number): Promise<object[]>;
  log(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** @throws Error with its log when it does not get ready */
export async function startCollector(options: CollectorOptions = {}): Promise<Collector> {
  const program = component("otelcol");
  const directory = mkdtempSync(join(tmpdir(), "flowspan-otelcol-"));
  const file = join(directory, "otlp.jsonl");
  const ports = options.ports ?? (await collectorPorts());
  const configs = [...(options.configs ?? [SHIPPED_CONFIG]), healthOnly(directory)];
  const running = new Running(
    "the Collector",
    program,
    configs.flatMap((path) => ["--config", path]),
    {
      directory,
      env: {
        OTLP_ENDPOINT: `127.0.0.1:${ports.otlp}`,
        PROMETHEUS_ENDPOINT: `127.0.0.1:${ports.prometheus}`,
        HEALTH_ENDPOINT: `127.0.0.1:${ports.health}`,
        OTLP_FILE: file,
        ...options.env,
      },
    },
  );
  await running.ready(() => answers(`http://127.0.0.1:${ports.health}/`));

  const batches = () => readLines(file);
  return {
    ports,
    endpoint: `http://127.0.0.1:${ports.otlp}`,
    scrapeTarget: `127.0.0.1:${ports.prometheus}`,
    batches,
    batchesOnce: (areRight, deadlineMs) => askUntil(async () => batches(), areRight, deadlineMs),
    log: () => running.words,
    stop: (signal) => running.stop(signal),
  };
}

export async function collectorPorts(): Promise<CollectorPorts> {
  const [otlp = 0, prometheus = 0, health = 0] = await freePorts(3);
  return { otlp, prometheus, health };
}

/** Every Collector of a test says when it is ready, also one whose own configuration does not. */
function healthOnly(directory: string): string {
  const path = join(directory, "health.yaml");
  writeFileSync(
    path,
    `extensions: { health_check: { endpoint: "\${env:HEALTH_ENDPOINT}" } }
service: { extensions: [health_check], telemetry: { metrics: { level: none } } }
`,
  );
  return path;
}

/** The last line may be half written. */
function readLines(path: string): object[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as object);
}
