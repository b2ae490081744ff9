/** Sentences of what differs, and how an end and a record are called in them. */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { ExpectedEnd } from "./oracle.ts";

/** Sentences, each under the name of its check: what is known and not mended yet is left out by that name. */
export class Differences {
  readonly list: string[] = [];
  readonly #known: ReadonlySet<string>;

  constructor(known: ReadonlySet<string>) {
    this.#known = known;
  }

  add(check: string, sentence: string): void {
    if (!this.#known.has(check)) this.list.push(`${check}: ${sentence}`);
  }

  equal(check: string, what: string, is: unknown, must: unknown): void {
    if (is !== must) this.add(check, `${what} is ${is}, must be ${must}`);
  }
}

export function describeEnd({ role, conversation, use }: ExpectedEnd): string {
  const where = conversation
    ? `${conversation.client.address}/${conversation.client.port} → ${conversation.server.address}/${conversation.server.port}`
    : `→ ${use?.remote.address}/${use?.remote.port}`;
  return `${role} of ${where}${use ? ` (line ${use.call.line + 1}${use.end ? ` to ${use.end.line + 1}` : ""})` : ""}`;
}

export function describeRecord(record: Connection): string {
  const { key, localPort, remotePort, error, flags, bytesSent, bytesReceived, segsOut } = record;
  return `${key.role} ${localPort} → ${remotePort}, error ${error}, flags ${flags}, sent ${bytesSent}, received ${bytesReceived}, ${segsOut} segments`;
}
