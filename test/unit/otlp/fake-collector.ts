/**
 * A gRPC server on loopback that stands where a Collector would: says what it got, answers as it is told.
 *
 * @grpc/grpc-js on both ends, with the bytes of the messages left alone.
 */
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";

export interface Received {
  readonly bytes: Buffer;
  readonly headers: Record<string, unknown>;
}

/** Answers one request: `done(error)` or `done(null, responseBytes)`; or never. */
export type Answer = (done: sendUnaryData<Buffer>) => void;

export interface FakeCollector extends AsyncDisposable {
  readonly port: number;
  readonly received: readonly Received[];
}

export const ACCEPT: Answer = (done) => done(null, Buffer.alloc(0));

export function fail(code: number, details: string, statusDetails?: Buffer): Answer {
  const metadata = new Metadata();
  if (statusDetails !== undefined) metadata.set("grpc-status-details-bin", statusDetails);
  return (done) => done({ code, details, metadata });
}

/** @param answers one a request; the last one for all that follow */
export async function startFakeCollector(
  answers: readonly Answer[],
  credentials = ServerCredentials.createInsecure(),
): Promise<FakeCollector> {
  const received: Received[] = [];
  const server = new Server();
  const identity = (bytes: Buffer) => bytes;
  server.addService(
    {
      export: {
        path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        requestStream: false,
        responseStream: false,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    },
    {
      export(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
        const answer = answers[Math.min(received.length, answers.length - 1)] ?? ACCEPT;
        received.push({ bytes: call.request, headers: call.metadata.getMap() });
        answer(done);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  return {
    port,
    received,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}
