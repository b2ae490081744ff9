/**
 * Log records of findings → those that are active, each as a line in plain words: who, towards whom, what is wrong, where, and why. Pure apart from its
 * memory. Everything in a line comes from the records.
 */
import {
  ATTR_FLOWSPAN_FINDING_ID,
  ATTR_FLOWSPAN_FINDING_PLACE,
  ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES,
  ATTR_FLOWSPAN_FINDING_PLACE_NAME,
  ATTR_FLOWSPAN_FINDING_STATE,
  ATTR_FLOWSPAN_LISTENER_QUEUE_LENGTH,
  ATTR_FLOWSPAN_LISTENER_QUEUE_LIMIT,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  FLOWSPAN_FINDING_STATE_VALUE_START,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import type { ReceivedLog } from "../../otlp/logs.ts";
import { localName, peerName } from "./demo-rows.ts";

/** A finding that goes on. */
export interface FindingRow {
  readonly isError: boolean;
  readonly text: string;
}

export class DemoFindings {
  readonly #active = new Map<string, ReceivedLog>();

  add(logs: readonly ReceivedLog[]): void {
    for (const log of logs) {
      const id = String(log.attributes[ATTR_FLOWSPAN_FINDING_ID]);
      if (log.attributes[ATTR_FLOWSPAN_FINDING_STATE] === FLOWSPAN_FINDING_STATE_VALUE_START) this.#active.set(id, log);
      else this.#active.delete(id);
    }
  }

  /** Errors first; then in the order in which they began. */
  rows(): FindingRow[] {
    const rows = [...this.#active.values()].map(rowOf);
    return [...rows.filter(({ isError }) => isError), ...rows.filter(({ isError }) => !isError)];
  }
}

function rowOf({ severity, body, attributes, resource }: ReceivedLog): FindingRow {
  const peer = attributes[ATTR_SERVICE_PEER_NAME] === undefined ? [] : ["→", peerName(attributes)];
  const port = attributes[ATTR_SERVER_PORT] === undefined ? "" : `:${attributes[ATTR_SERVER_PORT]}`;
  const [meaning, ...cause] = body.split(/(?<=\.) /);
  const said = [meaning?.replace(/\.$/, ""), placeOf(attributes), queueOf(attributes)].filter((text) => text !== "");
  const text = `${[whoOf(resource), ...peer].join(" ")}${port}: ${[`${said.join(", ")}.`, ...cause].join(" ")}`;
  return { isError: severity === "ERROR", text };
}

/** A pod goes by its service. */
function whoOf(resource: Attributes): string {
  const node = resource[ATTR_K8S_NODE_NAME];
  return resource[ATTR_K8S_POD_NAME] === undefined && node !== undefined ? String(node) : localName(resource);
}

function placeOf(attributes: Attributes): string {
  const { [ATTR_FLOWSPAN_FINDING_PLACE]: kind, [ATTR_FLOWSPAN_FINDING_PLACE_NAME]: name } = attributes;
  if (name !== undefined) return `at ${String(kind).replace("_", " ")} ${name}`;
  const candidates = attributes[ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES];
  if (Array.isArray(candidates)) return `at ${candidates.join(" or ").replaceAll("_", " ")}`;
  const node = attributes[ATTR_FLOWSPAN_PEER_K8S_NODE_NAME];
  return attributes[ATTR_SERVICE_PEER_NAME] === undefined && node !== undefined ? `towards ${node}` : "";
}

function queueOf(attributes: Attributes): string {
  const waiting = attributes[ATTR_FLOWSPAN_LISTENER_QUEUE_LENGTH];
  return waiting === undefined ? "" : `${waiting} wait, limit ${attributes[ATTR_FLOWSPAN_LISTENER_QUEUE_LIMIT]}`;
}
