/**
 * Exact through the death of a real Collector: killed while traffic runs, away for many intervals and started
 * again, several times. Its own files, read by the rules of OTLP's data model, hold the workload's count.
 *
 * The Collector here writes a request out before it answers: no batch, no buffer. What the shipped one holds in
 * memory for its batch's 200 ms dies with it, and no sender can know.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  collectorPorts,
  type Collector as RealCollector,
  SHIPPED_CONFIG,
  startCollector,
} from "../components/collector.ts";
import { A_WHILE, type Collector, exactThrough, TIMEOUT_MS } from "../lab/agents/trouble.ts";
import { needs } from "../machine/needs.ts";
import { pointsOfFile } from "../otlp/metric-points.ts";
import type { Point } from "../otlp/oracle.ts";

const test = needs("root", "btf", "cgroup2", "build", "otelcol");
const DEATHS = 3;

/** A file that may be rotated is not buffered. Merged over the shipped configuration. */
const WRITES_FIRST = `
exporters: { file: { append: false, rotation: { max_megabytes: 1000 } } }
service: { pipelines: { metrics: { processors: [memory_limiter], exporters: [file] } } }
`;

test(
  "sums in a real Collector's files stay exact when it is killed and started again",
  async () => {
    await exactThrough(await MortalCollector.start(), async ({ collector, traffic }) => {
      for (let death = 0; death < DEATHS; death++) {
        await collector.kill();
        await traffic.more(A_WHILE);
        await traffic.burst();
        await traffic.more(A_WHILE + 7 * death);
        await collector.revive();
        await traffic.more(A_WHILE);
      }
    });
  },
  TIMEOUT_MS,
);

/** A real Collector on fixed ports; each of its lives writes its own file. */
class MortalCollector implements Collector {
  readonly #directory = mkdtempSync(join(tmpdir(), "flowspan-trouble-"));
  readonly #files: string[] = [];
  #current: RealCollector | undefined;

  static async start(): Promise<MortalCollector> {
    const collector = new MortalCollector();
    await collector.revive();
    return collector;
  }

  get endpoint(): string {
    return this.#current?.endpoint ?? "";
  }

  async revive(): Promise<void> {
    const config = join(this.#directory, "writes-first.yaml");
    writeFileSync(config, WRITES_FIRST);
    const file = join(this.#directory, `life-${this.#files.length}.jsonl`);
    this.#files.push(file);
    const ports = this.#current?.ports ?? (await collectorPorts());
    this.#current = await startCollector({ configs: [SHIPPED_CONFIG, config], env: { OTLP_FILE: file }, ports });
  }

  async kill(): Promise<void> {
    await this.#current?.stop("SIGKILL");
  }

  points(): readonly Point[] {
    return this.#files.flatMap((file) => (existsSync(file) ? pointsOfFile(readFileSync(file, "utf8")) : []));
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }
}
