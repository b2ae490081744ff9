/**
 * The messages of directory.proto as plain values, to bytes and back, and the gRPC method that carries them.
 *
 * protobuf.js in its light form reads the schema as JSON (agent/generated/directory-schema.ts): it bundles as data.
 * proto-loader would bring a parser and read a file at run time; static code would be a thousand lines.
 */
import type { MethodDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs/light.js";
import { DIRECTORY } from "../generated/directory-schema.ts";
import type { ServiceName } from "../model/cluster-objects.ts";
import { costOf } from "./message-cost.ts";

export interface Key {
  readonly address: string;
  /** 0 where the address is a client's. */
  readonly port: number;
}

export interface Ask {
  readonly node?: string;
  readonly add?: readonly Key[];
  readonly remove?: readonly Key[];
}

export interface NodeMessage {
  readonly uid: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  readonly zone: string;
  readonly region: string;
  readonly createdUnixMs: number;
}

export interface PodMessage {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly node?: NodeMessage | null;
  readonly addresses: readonly string[];
  readonly createdUnixMs: number;
  readonly service?: ServiceName | null;
  readonly terminating?: boolean;
}

export interface ServiceMessage {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly clusterAddresses: readonly string[];
  readonly createdUnixMs: number;
  readonly goesBy?: ServiceName | null;
  readonly zone: string;
  /** Absent from what an older replica sends. */
  readonly node?: string;
  readonly replacedAgeMs?: number;
}

export interface Interval {
  readonly fromAgeMs: number;
  /** Absent while it lasts. */
  readonly untilAgeMs?: number;
  readonly pod?: PodMessage;
  readonly service?: ServiceMessage;
  readonly node?: NodeMessage;
}

export interface Answer {
  readonly key: Key;
  readonly intervals: readonly Interval[];
  readonly atPort?: ServiceMessage | null;
  readonly atPortByEndpoint?: boolean;
  readonly range?: NodeMessage | null;
  readonly forgottenAgeMs?: number;
}

export interface ClusterMessage {
  readonly uid: string;
  readonly node?: NodeMessage | null;
  readonly replica: string;
  readonly appLabels?: boolean;
  readonly listedAgeMs?: number;
}

/** Answers that came over the network. */
export interface ReceivedAnswers extends Answers {
  /** What all of the message costs in memory, bytes, roughly. */
  readonly cost: number;
  /** Of each answer, in order. */
  readonly costs: readonly number[];
}

export interface Answers {
  readonly cluster?: ClusterMessage | null;
  readonly answers: readonly Answer[];
  readonly ageMs: number;
}

const root = protobuf.Root.fromJSON(DIRECTORY as protobuf.INamespace);
const askType = root.lookupType("flowspan.directory.v1.Ask");
const answersType = root.lookupType("flowspan.directory.v1.Answers");

export function encodeAsk(ask: Ask): Buffer {
  return Buffer.from(askType.encode(ask).finish());
}

/** @throws Error when `bytes` are no such message, or one that nobody needs */
export function decodeAsk(bytes: Uint8Array): Required<Ask> {
  costOf(askType, bytes, { list: "add" });
  return plain(askType, bytes) as Required<Ask>;
}

/**
 * By protobuf's rule the bytes of two messages, one after the other, are the bytes of both merged: lists are
 * joined. So an answer is encoded once, however many agents it goes to.
 */
export function encodeAnswers(answers: Partial<Answers>): Buffer {
  return Buffer.from(answersType.encode(answers).finish());
}

/** An owner becomes objects in several tables. */
const INTERVAL_BYTES = 512;

/** @throws Error when `bytes` are no such message, or one that no replica sends */
export function decodeAnswers(bytes: Uint8Array): ReceivedAnswers {
  const { total, elements } = costOf(answersType, bytes, { list: "answers", extra: { Interval: INTERVAL_BYTES } });
  return { ...(plain(answersType, bytes) as Answers), cost: total, costs: elements };
}

/** The largest messages that either side takes in, bytes: they send less than half of it. */
export const ASK_MAX_BYTES = 256 * 1024;
export const ANSWERS_MAX_BYTES = 1024 * 1024;

/** Every field is there; an absent message is null, an absent `optional` field and oneof stay absent. */
function plain(type: protobuf.Type, bytes: Uint8Array): unknown {
  return type.toObject(type.decode(bytes), { longs: Number, defaults: true });
}

const bytesAsTheyAre = (bytes: Buffer): Buffer => bytes;

/** Messages cross gRPC as bytes: what they mean is decoded where an error can be answered. */
export const FOLLOW: MethodDefinition<Buffer, Buffer> = {
  path: "/flowspan.directory.v1.Directory/Follow",
  requestStream: true,
  responseStream: true,
  requestSerialize: bytesAsTheyAre,
  requestDeserialize: bytesAsTheyAre,
  responseSerialize: bytesAsTheyAre,
  responseDeserialize: bytesAsTheyAre,
};

/** How a replica begins to say why it is UNAVAILABLE, so that an agent can tell it from one out of reach. */
export const NOT_READ_YET = "this replica has not read the cluster yet";
