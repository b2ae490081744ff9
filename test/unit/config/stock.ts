/**
 * What the stock OTel JS exporter makes of an environment: asked of its own code, which reads process.env.
 */
import { convertLegacyOtlpGrpcOptions } from "@opentelemetry/otlp-grpc-exporter-base";

/** An exporter's settings as they take effect, the stock one's and ours in one form. */
export interface Effective {
  /** `HOST:PORT` */
  readonly target: string;
  readonly tls: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: string;
  readonly timeoutMs: number;
}

/** @returns the settings, or the words with which it gives up */
export function stockSettings(
  signal: "METRICS" | "TRACES" | "LOGS",
  env: Readonly<Record<string, string>>,
): Effective | string {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_")) delete process.env[name];
  Object.assign(process.env, env);
  try {
    const config = convertLegacyOtlpGrpcOptions({}, signal);
    const { url, compression, timeoutMillis } = config;
    return {
      // gRPC takes 443 where no port is named.
      target: /:\d+$/.test(url.replace(/^\[.*\]/, "")) ? url : `${url}:443`,
      tls: config.credentials()._isSecure(),
      headers: config.metadata().getMap() as Record<string, string>,
      compression,
      timeoutMs: timeoutMillis,
    };
  } catch (error) {
    return (error as Error).message;
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
