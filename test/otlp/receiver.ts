/**
 * An OTLP gRPC receiver in this process: takes metrics, traces and logs, keeps decoded metric points, and can
 * be told to be slow, to refuse or to reject a part. For quick tests and the demo; the end-to-end tests use
 * the real Collector. What it keeps is held against the registry (semconv/live.ts): close() throws what is not in it.
 *
 * A refused request is not kept; of a partially rejected one everything is kept and the rejection said, as the
 * protocol has it: what was rejected is the receiver's loss, not a reason to send again.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type handleUnaryCall,
  type Metadata,
  Metadata as MetadataClass,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { LiveCheck } from "../../semconv/live.ts";
import { Copies } from "./copies.ts";
import { decodeLogs, type ReceivedLog } from "./logs.ts";
import { decodeMetrics, type ReceivedPoint } from "./metric-points.ts";
import { registryCheck } from "./registry-check.ts";
import { decodeSpans, type ReceivedSpan } from "./spans.ts";

export type Signal = "metrics" | "traces" | "logs";

/** What a receiver does with requests that come from now on. */
export interface Behaviour {
  /** gRPC status code to answer with instead of accepting. */
  readonly refuse?: number;
  /** Of a refusal: RetryInfo, when to come again. */
  readonly retryAfterMs?: number;
  /** Answers that much later. */
  readonly delayMs?: number;
  /** Points, or spans, said to be rejected in the partial success of each answer. */
  readonly rejectPoints?: number;
  /** Accepts and keeps, but the answer never leaves: the sender cannot know. */
  readonly dropAnswer?: boolean;
  /** Accepts and keeps, but says this gRPC status: what a proxy says that lost the answer. */
  readonly denyAccepted?: number;
  /** Accepts and keeps, and answers when this resolves. */
  readonly answerAfter?: Promise<unknown>;
}

export interface ReceivedRequest {
  readonly signal: Signal;
  readonly bytes: Uint8Array;
  readonly metadata: Metadata;
}

const SERVICES: Readonly<Record<Signal, string>> = {
  metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
  traces: "opentelemetry.proto.collector.trace.v1.TraceService",
  logs: "opentelemetry.proto.collector.logs.v1.LogsService",
};

/** A request as it came, whatever became of it. */
export interface Arrival {
  readonly signal: Signal;
  /** On performance.now(). */
  readonly atMs: number;
}

export interface ReceiverOptions {
  /** 0: any free port. */
  readonly port?: number;
  /** Keeps no request and no point; for listeners that do their own keeping, like the demo. */
  readonly forget?: boolean;
  /** Takes what no model has, too; for tests that send points of their own making. */
  readonly unregistered?: boolean;
  /** Takes the bytes of each accepted request, which are then neither decoded nor kept. */
  readonly takeBytes?: (signal: Signal, bytes: Uint8Array) => void;
}

export class Receiver {
  readonly #server = new Server({ "grpc.max_receive_message_length": 4 << 20 });
  readonly #listeners = new Set<(points: readonly ReceivedPoint[]) => void>();
  readonly #logListeners = new Set<(logs: readonly ReceivedLog[]) => void>();
  readonly #forget: boolean;
  readonly #takeBytes: ReceiverOptions["takeBytes"];
  readonly #check: LiveCheck | undefined;
  readonly #copies = Copies.asAsked();
  #port = 0;
  /** Requests do not overtake each other, however late they are. */
  #inTurn: Promise<unknown> = Promise.resolve();
  behaviour: Behaviour = {};
  /** All requests, in order. */
  readonly arrivals: Arrival[] = [];
  /** Accepted ones, in order. */
  readonly requests: ReceivedRequest[] = [];
  /** Of accepted requests, in order. */
  readonly points: ReceivedPoint[] = [];
  /** Of accepted requests, in order. */
  readonly spans: ReceivedSpan[] = [];
  /** Of accepted requests, in order. */
  readonly logs: ReceivedLog[] = [];
  /** When each of the spans came, on performance.now(). */
  readonly spanTimesMs: number[] = [];
  /** Requests that were answered with a status other than OK. */
  refused = 0;

  private constructor(options: ReceiverOptions) {
    this.#forget = options.forget ?? false;
    this.#takeBytes = options.takeBytes;
    this.#check = options.forget || options.unregistered ? undefined : registryCheck();
    for (const signal of Object.keys(SERVICES) as Signal[])
      this.#server.addService(exportService(signal), { export: this.#handler(signal) });
  }

  static async start(options: ReceiverOptions = {}): Promise<Receiver> {
    const receiver = new Receiver(options);
    receiver.#port = await new Promise<number>((resolve, reject) => {
      const address = `127.0.0.1:${options.port ?? 0}`;
      receiver.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    return receiver;
  }

  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Hears the points of every accepted request. */
  onPoints(listener: (points: readonly ReceivedPoint[]) => void): void {
    this.#listeners.add(listener);
  }

  /** Hears the log records of every accepted request. */
  onLogs(listener: (logs: readonly ReceivedLog[]) => void): void {
    this.#logListeners.add(listener);
  }

  /** @throws what came and is not in the registry */
  async close(): Promise<void> {
    this.#server.forceShutdown();
    await this.#copies?.close();
    const findings = this.#check?.findings ?? [];
    if (findings.length > 0) throw new Error(`what was sent is not as semconv/model has it:\n${findings.join("\n")}`);
  }

  #handler(signal: Signal): handleUnaryCall<Buffer, Buffer> {
    return (call, answer) => {
      const behaviour = this.behaviour;
      if (!this.#forget) this.arrivals.push({ signal, atMs: performance.now() });
      const { delayMs = 0 } = behaviour;
      const due = delayMs > 0 ? delay(delayMs) : undefined;
      this.#inTurn = Promise.all([this.#inTurn, due]).then(() => this.#respond(signal, call, answer, behaviour));
    };
  }

  #respond(
    signal: Signal,
    { request, metadata }: ServerUnaryCall<Buffer, Buffer>,
    answer: sendUnaryData<Buffer>,
    behaviour: Behaviour,
  ): void {
    const { refuse, retryAfterMs } = behaviour;
    if (refuse !== undefined) {
      this.refused++;
      answer({ code: refuse, details: "refused by the test's receiver", metadata: retryInfo(refuse, retryAfterMs) });
      return;
    }
    try {
      this.#accept(signal, request, metadata);
    } catch (error) {
      this.refused++;
      answer({ code: status.INVALID_ARGUMENT, details: String(error) });
      return;
    }
    answerAccepted(answer, behaviour);
  }

  #accept(signal: Signal, bytes: Buffer, metadata: Metadata): void {
    if (this.#takeBytes !== undefined) {
      this.#takeBytes(signal, bytes);
      return;
    }
    const points = signal === "metrics" ? decodeMetrics(bytes) : [];
    const spans = signal === "traces" ? decodeSpans(bytes) : [];
    const logs = signal === "logs" ? decodeLogs(bytes) : [];
    this.#copies?.send(exportPath(signal), bytes);
    this.#check?.addPoints(points);
    this.#check?.addSpans(spans);
    this.#check?.addLogs(logs);
    if (!this.#forget) {
      for (const span of spans) {
        this.spans.push(span);
        this.spanTimesMs.push(performance.now());
      }
      this.requests.push({ signal, bytes, metadata });
      this.points.push(...points);
      this.logs.push(...logs);
    }
    for (const listener of this.#listeners) listener(points);
    for (const listener of this.#logListeners) listener(logs);
  }
}

function answerAccepted(answer: sendUnaryData<Buffer>, behaviour: Behaviour): void {
  const { rejectPoints = 0, dropAnswer = false, denyAccepted, answerAfter } = behaviour;
  const say = () => {
    if (denyAccepted === undefined) answer(null, partialSuccess(rejectPoints));
    else answer({ code: denyAccepted, details: "the test's receiver lost the answer" });
  };
  if (dropAnswer) return;
  if (answerAfter === undefined) say();
  else void answerAfter.then(say);
}

function exportPath(signal: Signal): string {
  return `/${SERVICES[signal]}/Export`;
}

function exportService(signal: Signal): ServiceDefinition {
  const same = (bytes: Buffer) => bytes;
  return {
    export: {
      path: exportPath(signal),
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  };
}

/** An Export…ServiceResponse: field 1 is the partial success, its field 1 the rejected count, 2 the message. */
function partialSuccess(rejected: number): Buffer {
  if (rejected === 0) return Buffer.alloc(0);
  return bytesField(
    1,
    Buffer.concat([numberField(1, rejected), bytesField(2, Buffer.from("rejected by the test's receiver"))]),
  );
}

/** The trailer of a refusal: google.rpc.Status (code 1, details 3) with RetryInfo (a Duration) in an Any. */
function retryInfo(code: number, afterMs: number | undefined): Metadata {
  const metadata = new MetadataClass();
  if (afterMs === undefined) return metadata;
  const duration = [numberField(1, Math.floor(afterMs / 1000)), numberField(2, (afterMs % 1000) * 1_000_000)];
  const type = Buffer.from("type.googleapis.com/google.rpc.RetryInfo");
  const any = Buffer.concat([bytesField(1, type), bytesField(2, bytesField(1, Buffer.concat(duration)))]);
  metadata.set("grpc-status-details-bin", Buffer.concat([numberField(1, code), bytesField(3, any)]));
  return metadata;
}

function numberField(field: number, value: number): Buffer {
  return Buffer.from([field << 3, ...varint(value)]);
}

function bytesField(field: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(content.length)]), content]);
}

function varint(value: number): number[] {
  return value > 0x7f ? [(value & 0x7f) | 0x80, ...varint(value >>> 7)] : [value];
}
