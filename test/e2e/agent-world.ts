/**
 * What an agent's container speaks with in a cluster, on loopback: an API server, a Collector and a name server, all over
 * TLS or by name as there. `agentOf` is a container that uses all of it; everything goes with the test.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Collector, startCollector } from "../components/collector.ts";
import { MALLOC_ENV, NODE_FLAGS } from "../components/shipped-node.ts";
import { FakeApiServer } from "../kubernetes/fake-api-server.ts";
import { namespaceObject, nodeObject } from "../kubernetes/kubernetes-objects.ts";
import { freePorts } from "../shared/free-ports.ts";
import { makeCertificates } from "../unit/tls/certificates.ts";
import type { ContainerSetup } from "./container.ts";
import { agentSetup, type Volumes } from "./node-containers.ts";

/** Whom the certificates name; only the world's name server knows it. */
const HOST = "elsewhere.example";
const CONFIG = "/etc/flowspan";
/** Of this process: port 53 is not one to choose. */
const NAME_SERVER = `127.77.${(process.pid >> 8) & 255}.${process.pid & 255}`;

const SERVING = {
  cert_file: `${CONFIG}/elsewhere.pem`,
  key_file: `${CONFIG}/elsewhere.key`,
  token_file: `${CONFIG}/tokens`,
};

export type Protocol = "grpc" | "http/protobuf";

export interface AgentWorld {
  readonly api: FakeApiServer;
  readonly collector: Collector;
  /** Of the health check of each. */
  readonly ports: { readonly agent: number; readonly directory: number };
  /** Questions that the name server was asked. */
  readonly asked: { count: number };
  /** Settings of an agent that takes peers from the directory. */
  readonly byDirectory: object;
  /** @param settings below `distribution.flowspan` */
  agentOf(protocol: Protocol, settings?: object): ContainerSetup;
  directoryOf(): ContainerSetup;
  /** Writes the agent's configuration anew, at once as a ConfigMap changes. */
  configure(protocol: Protocol, settings: object): void;
}

export async function startWorld(volumes: Volumes): Promise<AgentWorld> {
  const config = configDirectory(volumes);
  const api = await startApi(config);
  const [http = 0, directoryPort = 0, agentHealth = 0, directoryHealth = 0] = await freePorts(4);
  const collector = await startCollector({
    configs: [collectorConfig(config)],
    env: { OTLP_HTTP: `127.0.0.1:${http}` },
  });
  onTestFinished(() => collector.stop());
  const asked = await startNameServer();
  const ports = { agent: agentHealth, directory: directoryHealth };
  const portOf = (protocol: Protocol) => (protocol === "grpc" ? collector.ports.otlp : http);
  const write = (file: string, protocol: Protocol, ours: object) => {
    writeFileSync(join(config, `${file}.new`), JSON.stringify(configOf(protocol, portOf(protocol), ours)));
    renameSync(join(config, `${file}.new`), join(config, file));
  };
  const setupOf = (command: string, file: string): ContainerSetup => {
    const setup = agentSetup(volumes, ["/node", ...NODE_FLAGS, "/app/agent.mjs", command]);
    return {
      ...setup,
      env: { ...MALLOC_ENV, ...setup.env, OTEL_CONFIG_FILE: `${CONFIG}/${file}`, FLOWSPAN_NODE_NAME: "node-1" },
      volumes: { ...setup.volumes, config },
      files: { ...imageFiles(setup), "/etc/resolv.conf": join(config, "resolv.conf") },
    };
  };
  const kubernetes = { kubeconfig: `${CONFIG}/kubeconfig` };
  const configure = (protocol: Protocol, settings: object) =>
    write("agent.yaml", protocol, {
      kubernetes,
      admin: { address: `127.0.0.1:${ports.agent}` },
      spans: { sampling: { probability: 1 } },
      ...settings,
    });
  return {
    ...{ api, collector, ports, asked, configure },
    byDirectory: {
      kubernetes: { ...kubernetes, metadata: "directory" },
      directory: {
        addresses: [`${HOST}:${directoryPort}`],
        ca_file: `${CONFIG}/ca.pem`,
        token_file: `${CONFIG}/tokens`,
      },
    },
    agentOf(protocol, settings = {}) {
      configure(protocol, settings);
      return setupOf("agent", "agent.yaml");
    },
    directoryOf() {
      write("directory.yaml", "grpc", {
        kubernetes,
        admin: { address: `127.0.0.1:${ports.directory}`, socket: "/run/flowspan/directory.sock" },
        directory: { listen: `127.0.0.1:${directoryPort}`, ...SERVING },
      });
      return setupOf("directory", "directory.yaml");
    },
  };
}

/** It knows a namespace and a node; `kubeconfig` beside the certificates names it. */
async function startApi(config: string): Promise<FakeApiServer> {
  const pem = (name: string) => readFileSync(join(config, name));
  const api = new FakeApiServer({ tls: { key: pem("elsewhere.key"), cert: pem("elsewhere.pem") } });
  api.put(namespaceObject("shop"));
  api.put(nodeObject({ name: "node-1", ips: ["192.0.2.1"] }));
  await api.start();
  onTestFinished(() => api.stop());
  const kubeconfig = JSON.parse(api.kubeconfig());
  kubeconfig.clusters[0].cluster = {
    server: `https://${HOST}:${api.port}`,
    "certificate-authority": `${CONFIG}/ca.pem`,
  };
  writeFileSync(join(config, "kubeconfig"), JSON.stringify(kubeconfig));
  return api;
}

/** The bundle alone: the agent's image has no probe, which `doctor` would start. */
function imageFiles({ files }: ContainerSetup): Readonly<Record<string, string>> {
  const { "/app": build = "", ...others } = files;
  return {
    ...others,
    ...Object.fromEntries(["agent.mjs", "chunks"].map((name) => [`/app/${name}`, join(build, name)])),
  };
}

/** What the pod's ConfigMaps and Secrets would hold. */
function configDirectory({ directory }: Volumes): string {
  const config = join(directory, "config");
  mkdirSync(config);
  using made = makeCertificates();
  for (const name of ["ca.pem", "elsewhere.pem", "elsewhere.key"]) {
    cpSync(made.path(name), join(config, name));
    chmodSync(join(config, name), 0o644);
  }
  writeFileSync(join(config, "tokens"), "of-the-agents\n");
  writeFileSync(join(config, "resolv.conf"), `nameserver ${NAME_SERVER}\n`);
  return config;
}

function configOf(protocol: Protocol, port: number, ours: object): object {
  const exporterOf = (signal: string) => {
    const path = protocol === "grpc" ? "" : `/v1/${signal}`;
    const sending = {
      endpoint: `https://${HOST}:${port}${path}`,
      tls: { ca_file: `${CONFIG}/ca.pem` },
      compression: "gzip",
    };
    return { [protocol === "grpc" ? "otlp_grpc" : "otlp_http"]: sending };
  };
  return {
    file_format: "1.1",
    meter_provider: { readers: [{ periodic: { exporter: exporterOf("metrics") } }] },
    tracer_provider: { processors: [{ batch: { exporter: exporterOf("traces") } }] },
    distribution: { flowspan: { interval: 200, ...ours } },
  };
}

function collectorConfig(config: string): string {
  const path = join(config, "collector.yaml");
  const tls = { cert_file: join(config, "elsewhere.pem"), key_file: join(config, "elsewhere.key") };
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the Collector's own variables
  const endpoints = { grpc: "${env:OTLP_ENDPOINT}", http: "${env:OTLP_HTTP}", file: "${env:OTLP_FILE}" };
  const pipeline = { receivers: ["otlp"], exporters: ["file"] };
  const whole = {
    receivers: {
      otlp: { protocols: { grpc: { endpoint: endpoints.grpc, tls }, http: { endpoint: endpoints.http, tls } } },
    },
    exporters: { file: { path: endpoints.file, append: true, flush_interval: "100ms" } },
    service: { pipelines: { metrics: pipeline, traces: pipeline, logs: pipeline } },
  };
  writeFileSync(path, JSON.stringify(whole));
  return path;
}

/** Answers each question for an IPv4 address with 127.0.0.1, and says of all others that there is nothing. */
async function startNameServer(): Promise<{ count: number }> {
  const asked = { count: 0 };
  const socket = createSocket("udp4");
  socket.on("message", (question, { port, address }) => {
    asked.count++;
    socket.send(dnsAnswer(question), port, address);
  });
  socket.bind(53, NAME_SERVER);
  await once(socket, "listening");
  onTestFinished(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  return asked;
}

const TYPE_A = 1;
const HEADER_BYTES = 12;

/** RFC 1035: the question comes back with flags and, for A, one record that points at its name. */
function dnsAnswer(question: Buffer): Buffer {
  const end = question.indexOf(0, HEADER_BYTES) + 5;
  const isAddress = question.readUInt16BE(end - 4) === TYPE_A;
  const answer = Buffer.from(question.subarray(0, end));
  answer.writeUInt16BE(0x8180, 2);
  answer.writeUInt16BE(isAddress ? 1 : 0, 6);
  answer.writeUInt32BE(0, 8);
  const record = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
  return isAddress ? Buffer.concat([answer, record]) : answer;
}
