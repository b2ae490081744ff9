/**
 * A real OpenTelemetry Collector between the demo's agents and its receiver: OTLP in, OTLP out.
 */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { freePorts } from "../../shared/free-ports.ts";
import { eventually, LabProcess } from "../programs/process.ts";
import type { Lab } from "../world/lab.ts";
import { runDirectory } from "../world/leftovers.ts";

export interface Collector {
  readonly process: LabProcess;
  /** Where agents send to. */
  readonly endpoint: string;
}

/** @param to an OTLP gRPC endpoint that everything is sent on to */
export async function startCollector(lab: Lab, path: string, to: string): Promise<Collector> {
  const [port = 0] = await freePorts(1);
  const config = join(runDirectory(lab.id), "collector.yaml");
  writeFileSync(config, collectorConfig(port, to));
  const process = new LabProcess({ cgroup: lab.outsideCgroup }, [path, "--config", config]);
  await eventually(
    () => `a listening Collector: ${process.describe()}`,
    () => {
      if (!process.isRunning) throw new Error(process.describe());
      return accepts(port);
    },
    20_000,
  );
  return { process, endpoint: `http://127.0.0.1:${port}` };
}

function collectorConfig(port: number, to: string): string {
  return `receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:${port}
exporters:
  otlp_grpc:
    endpoint: ${new URL(to).host}
    tls:
      insecure: true
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    metrics:
      receivers: [otlp]
      exporters: [otlp_grpc]
    traces:
      receivers: [otlp]
      exporters: [otlp_grpc]
    logs:
      receivers: [otlp]
      exporters: [otlp_grpc]
`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
