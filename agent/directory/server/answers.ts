/**
 * What the store knows of one key → the message that says it.
 *
 * Every answer stands for itself: the node of a pod and the name that a Service goes by are part of it, so
 * that an agent never has to put two messages together.
 */
import type { Node, Service } from "../../model/cluster-objects.ts";
import type { Answer, ClusterMessage, Interval, Key, NodeMessage, PodMessage, ServiceMessage } from "../protocol.ts";
import type { AtPort } from "./owner-records.ts";
import { listOf, type OwnerRecord, type PodRecord } from "./owner-records.ts";
import type { OwnedInterval } from "./ownership.ts";
import type { DirectoryStore } from "./store.ts";

export function answerOf(store: DirectoryStore, key: Key, nowMs: number): Answer {
  const intervals = store.intervals(key.address).map((interval) => intervalOf(store, interval, nowMs));
  const atPort = store.atPort(key.address, key.port);
  const range = intervals.length === 0 ? store.rangeOf(key.address) : undefined;
  const forgotten = store.forgottenUntil(key.address);
  return {
    key,
    intervals,
    ...(atPort === undefined ? {} : atPortMessage(store, atPort, nowMs)),
    ...(range === undefined ? {} : { range: nodeMessage(range) }),
    ...(forgotten === undefined ? {} : { forgottenAgeMs: age(forgotten, nowMs) }),
  };
}

function atPortMessage(store: DirectoryStore, { service, byEndpoint }: AtPort, nowMs: number): Partial<Answer> {
  const atPort = serviceMessage(store, service, nowMs);
  return byEndpoint ? { atPort, atPortByEndpoint: true } : { atPort };
}

/** @param nodeName the agent's own */
export function clusterMessage(
  store: DirectoryStore,
  nodeName: string,
  { replica, appLabels }: Required<Pick<ClusterMessage, "replica" | "appLabels">>,
  nowMs: number,
): ClusterMessage {
  const node = store.nodeByName(nodeName);
  const listedAgeMs = age(store.listedMs, nowMs);
  const message = { uid: store.clusterUid, replica, appLabels, listedAgeMs };
  return node === undefined ? message : { ...message, node: nodeMessage(node) };
}

function intervalOf(store: DirectoryStore, interval: OwnedInterval<OwnerRecord>, nowMs: number): Interval {
  const { owner, fromMs, untilMs } = interval;
  const times = {
    fromAgeMs: age(fromMs, nowMs),
    ...(untilMs === Infinity ? {} : { untilAgeMs: age(untilMs, nowMs) }),
  };
  switch (owner.kind) {
    case "pod":
      return { ...times, pod: podMessage(store, owner) };
    case "service":
      return { ...times, service: serviceMessage(store, owner.service, nowMs) };
    case "node":
      return { ...times, node: nodeMessage(owner.node) };
  }
}

function age(atMs: number, nowMs: number): number {
  return Math.max(0, Math.round(nowMs - atMs));
}

function podMessage(store: DirectoryStore, pod: PodRecord): PodMessage {
  const { uid, name, namespace, createdMs, service } = pod;
  const node = store.nodeByName(pod.node);
  // A node that is not known, or not any more, still has its name.
  const nodeWords = node ? nodeMessage(node) : { ...NAMELESS_NODE, name: pod.node };
  const addresses = listOf(pod.addresses);
  const message = { uid, name, namespace, addresses, createdUnixMs: createdMs, service, node: nodeWords };
  return pod.terminatingMs !== undefined ? { ...message, terminating: true } : message;
}

function serviceMessage(store: DirectoryStore, service: Service, nowMs: number): ServiceMessage {
  const { uid, name, namespace, clusterAddresses, createdMs } = service;
  const { peer, replacedMs } = store.namingOf(service);
  const { zone, nodeName, ...goesBy } = peer;
  const named = {
    goesBy,
    zone: zone ?? "",
    node: nodeName ?? "",
    ...(replacedMs === -Infinity ? {} : { replacedAgeMs: age(replacedMs, nowMs) }),
  };
  return { uid, name, namespace, clusterAddresses, createdUnixMs: createdMs, ...named };
}

const NAMELESS_NODE: NodeMessage = {
  uid: "",
  name: "",
  addresses: [],
  podCidrs: [],
  zone: "",
  region: "",
  createdUnixMs: 0,
};

function nodeMessage({ createdMs, ...node }: Node): NodeMessage {
  return { ...node, createdUnixMs: createdMs };
}
