/**
 * What the stock OTel JS exporter makes of an environment: asked of its own code, which reads process.env.
 */
import { convertLegacyHttpOptions } from "@opentelemetry/otlp-exporter-base/node-http";
import { convertLegacyOtlpGrpcOptions } from "@opentelemetry/otlp-grpc-exporter-base";

/** An exporter's settings as they take effect, the stock one's and ours in one form. */
export interface Effective {
  /** Over gRPC `HOST:PORT`, over HTTP the URL. */
  readonly target: string;
  readonly tls: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: string;
  readonly timeoutMs: number;
}

type Signal = "METRICS" | "TRACES" | "LOGS";

/** Of the exporter for gRPC. @returns the settings, or the words with which it gives up */
export function stockSettings(signal: Signal, env: Readonly<Record<string, string>>): Effective | string {
  return within(env, () => {
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
  });
}

/** Of the exporter for HTTP. @returns the settings, or the words with which it gives up */
export async function stockHttpSettings(
  signal: Signal,
  env: Readonly<Record<string, string>>,
): Promise<Effective | string> {
  const config = within(env, () => convertLegacyHttpOptions({}, signal, `v1/${signal.toLowerCase()}`, {}));
  if (typeof config === "string") return config;
  const { url, compression, timeoutMillis: timeoutMs } = config;
  // Its transport parses it for each request.
  const target = new URL(url).href;
  const given = Object.entries(await config.headers());
  // HTTP does not tell names by their letters' case.
  const headers = Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value]));
  return { target, tls: target.startsWith("https:"), headers, compression, timeoutMs };
}

/** With these variables of OTel's and no others. */
function within<Result>(env: Readonly<Record<string, string>>, ask: () => Result): Result | string {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_")) delete process.env[name];
  Object.assign(process.env, env);
  try {
    return ask();
  } catch (error) {
    return (error as Error).message;
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
