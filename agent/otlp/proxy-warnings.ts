/** What a user should know of proxies that are named and not used, by the protocols that are spoken. */
import { grpcProxyWarnings } from "./grpc-proxy.ts";
import { httpProxyWarnings } from "./http-proxy.ts";

/** Without what the variables hold. */
export function proxyWarnings(
  protocols: readonly ("grpc" | "http/protobuf" | undefined)[],
  env: NodeJS.ProcessEnv,
): string[] {
  return [
    ...(protocols.includes("grpc") ? grpcProxyWarnings(env) : []),
    ...(protocols.includes("http/protobuf") ? httpProxyWarnings(env) : []),
  ];
}
