/**
 * The way to a Collector by OTLP: over gRPC, or as protobuf over HTTP. Both make the same promise (`Transport`).
 */
import { GrpcTransport } from "./grpc-transport.ts";
import { HttpTransport } from "./http-transport.ts";
import { ReportedCauses } from "./reported-causes.ts";
import type { ExportedSignal } from "./signal-services.ts";
import type { Transport, TransportOptions } from "./transport-options.ts";

export type { ExportedSignal } from "./signal-services.ts";
export { type Transport, type TransportOptions, unusableWords } from "./transport-options.ts";

/**
 * Nothing is connected before the first request.
 *
 * @param reportedCauses shared by transports whose troubles shall be reported once
 * @throws ConfigError that names the setting of a certificate or key which cannot be used
 */
export function createTransport(
  options: TransportOptions,
  signal: ExportedSignal = "metrics",
  reportedCauses: ReportedCauses = new ReportedCauses(),
): Transport {
  const Way = options.protocol === "http/protobuf" ? HttpTransport : GrpcTransport;
  return new Way(options, signal, reportedCauses);
}
