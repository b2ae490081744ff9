/**
 * Hears of connections on which no TLS came to be: gRPC keeps its servers to itself and tells nobody.
 *
 * An agent without the certificate that is demanded fails there, before any call; so does whoever speaks
 * something else.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Server } from "node:tls";

/** Node's own word when a server begins to listen. */
const LISTENING = "tracing:net.server.listen:asyncStart";

/**
 * @param listen begins to listen; TLS servers that do so meanwhile are heard from then on
 * @returns what `listen` gives
 */
export async function hearTlsFailures<T>(listen: () => Promise<T>, onFailure: () => void): Promise<T> {
  const onListening = (message: unknown) => {
    const { server } = message as { server: unknown };
    if (server instanceof Server) server.on("tlsClientError", onFailure);
  };
  subscribe(LISTENING, onListening);
  try {
    return await listen();
  } finally {
    unsubscribe(LISTENING, onListening);
  }
}
