/**
 * What a test's receiver has accepted, sent on to one more OTLP endpoint: `scripts/weaver live` says where, and every
 * lab test and the demo then talk to OpenTelemetry's own tool too.
 */
import { Client, credentials } from "@grpc/grpc-js";

export class Copies {
  readonly #client: Client;
  readonly #pending = new Set<Promise<void>>();

  constructor(endpoint: string) {
    this.#client = new Client(new URL(endpoint).host, credentials.createInsecure());
  }

  /** Where FLOWSPAN_COPY_TO says; undefined where it says nothing. */
  static asAsked(env: NodeJS.ProcessEnv = process.env): Copies | undefined {
    return env.FLOWSPAN_COPY_TO ? new Copies(env.FLOWSPAN_COPY_TO) : undefined;
  }

  /** @param path of the gRPC method */
  send(path: string, bytes: Buffer): void {
    const sent = new Promise<void>((resolve, reject) => {
      const same = (value: Buffer) => value;
      this.#client.makeUnaryRequest(path, same, same, bytes, (error) => (error ? reject(error) : resolve()));
    });
    this.#pending.add(sent);
    sent.then(
      () => this.#pending.delete(sent),
      () => {},
    );
  }

  /** @throws what the endpoint answered to one that it did not take */
  async close(): Promise<void> {
    try {
      await Promise.all(this.#pending);
    } finally {
      this.#client.close();
    }
  }
}
