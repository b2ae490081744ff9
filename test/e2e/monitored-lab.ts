/**
 * A lab with flowspan on each node, the real Collector with the shipped configuration and a real Prometheus that scrapes
 * it: what a cluster has, but that names come from the fake API server. Everything ends by close().
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Collector, collectorPorts, SHIPPED_CONFIG, startCollector } from "../components/collector.ts";
import { type Prometheus, type PrometheusOptions, type Sample, startPrometheus } from "../components/prometheus.ts";
import { askUntil } from "../components/running.ts";
import type { FakeApiServer } from "../kubernetes/fake-api-server.ts";
import { type AgentSetup, type NodeAgent, startAgents } from "../lab/agents/agents.ts";
import type { Description } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { startMetadata } from "../lab/world/metadata.ts";

const INTERVAL_MS = 500;
const ALERT_MS = 90_000;

/** A series that is not renewed goes after this; the shipped five minutes would hide an agent's death for as long. */
const EXPIRES_SOON = "exporters: { prometheus: { metric_expiration: 4s } }";
const WITHOUT_RESOURCE_LABELS = "exporters: { prometheus: { resource_to_telemetry_conversion: { enabled: false } } }";

export class MonitoredLab {
  readonly lab: Lab;
  readonly api: FakeApiServer;
  readonly prometheus: Prometheus;
  /** Where agents send to, whether or not a Collector is there. */
  readonly endpoint: string;
  readonly kubeconfig: string;
  readonly #ports: Awaited<ReturnType<typeof collectorPorts>>;
  readonly #directory: string;
  readonly #undo: (() => unknown)[];
  /** Alerts that a look has seen firing, and those of them that a later one has not. */
  readonly #fired = new Set<string>();
  readonly firedAndResolved = new Set<string>();
  #collector: Collector | undefined;

  private constructor(
    parts: Pick<MonitoredLab, "lab" | "api" | "prometheus" | "kubeconfig">,
    ports: Awaited<ReturnType<typeof collectorPorts>>,
    undo: (() => unknown)[],
  ) {
    this.lab = parts.lab;
    this.api = parts.api;
    this.prometheus = parts.prometheus;
    this.kubeconfig = parts.kubeconfig;
    this.#ports = ports;
    this.endpoint = `http://127.0.0.1:${ports.otlp}`;
    this.#directory = mkdtempSync(join(tmpdir(), "flowspan-monitored-"));
    this.#undo = undo;
  }

  /** Everything but the Collector and the agents. Thousands of histograms take a scrape some time: give it that. */
  static async start(
    description: Description,
    options: Pick<PrometheusOptions, "rules" | "scrapeMs">,
  ): Promise<MonitoredLab> {
    const undo: (() => unknown)[] = [];
    try {
      const lab = await startLab(description);
      undo.push(() => lab.close());
      const { api, kubeconfig } = await startMetadata(lab);
      undo.push(() => api.stop());
      const ports = await collectorPorts();
      const scrapeTargets = [`127.0.0.1:${ports.prometheus}`];
      const prometheus = await startPrometheus({ scrapeTargets, ...options });
      undo.push(() => prometheus.stop());
      return new MonitoredLab({ lab, api, prometheus, kubeconfig }, ports, undo);
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
  }

  async startCollector(options: { readonly resourceLabels: boolean } = { resourceLabels: true }): Promise<void> {
    const overlays = [EXPIRES_SOON, ...(options.resourceLabels ? [] : [WITHOUT_RESOURCE_LABELS])];
    const files = overlays.map((text, index) => {
      const path = join(this.#directory, `overlay-${index}.yaml`);
      writeFileSync(path, text);
      return path;
    });
    this.#collector = await startCollector({ configs: [SHIPPED_CONFIG, ...files], ports: this.#ports });
  }

  async stopCollector(): Promise<void> {
    await this.#collector?.stop();
  }

  /** One probe and one agent on a node. Where the setup has a configuration file, that names the endpoint. */
  async watch(node: string, setup: Partial<AgentSetup> = {}): Promise<NodeAgent> {
    const { lab, endpoint } = this;
    const basic = { endpoint, endpointByVariable: true, kubeconfig: this.kubeconfig, intervalMs: INTERVAL_MS };
    const [agent] = await startAgents(lab, { ...basic, ...setup }, [node]);
    if (agent === undefined) throw new Error(`the lab has no node ${node}`);
    this.#undo.push(() => agent.stop());
    return agent;
  }

  /** Names of the alerts that fire. */
  async firing(): Promise<string[]> {
    return (await this.firingLabels()).map(({ alertname = "" }) => alertname).sort();
  }

  /** Of each alert that fires. */
  async firingLabels(): Promise<Sample["labels"][]> {
    const firing = (await this.prometheus.query('ALERTS{alertstate="firing"}')).map(({ labels }) => labels);
    const names = new Set(firing.map(({ alertname = "" }) => alertname));
    for (const name of this.#fired) if (!names.has(name)) this.firedAndResolved.add(name);
    for (const name of names) this.#fired.add(name);
    return firing;
  }

  /** Waits until each has fired once. @returns those that have not */
  async untilFired(alerts: readonly string[]): Promise<string[]> {
    const seen = new Set<string>();
    const look = async () => {
      for (const alert of await this.firing()) seen.add(alert);
      return alerts.filter((alert) => !seen.has(alert));
    };
    return askUntil(look, (left) => left.length === 0, ALERT_MS);
  }

  /** Waits until none fires any more. @returns those that do */
  async untilResolved(alerts: readonly string[]): Promise<string[]> {
    const look = async () => (await this.firing()).filter((alert) => alerts.includes(alert));
    return askUntil(look, (left) => left.length === 0, ALERT_MS);
  }

  async close(): Promise<void> {
    for (const step of this.#undo.reverse()) await step();
    await this.stopCollector();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
