/**
 * Where a span's verdict is not the one that its own end asks for: who reset it, or how it failed (docs/telemetry.md, "Connection
 * spans"). Waits, losses and round trips have no second count. Pure.
 */
import type { AttributeValue } from "../../agent/model/attribute.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import type { Differences } from "./differences.ts";

type Verdict = readonly [who: AttributeValue | undefined, reason: AttributeValue | undefined, value: number];

const OF_FAILURES: Readonly<Record<string, Verdict>> = {
  refused: ["server_application", "refused", 1],
  no_local_port: ["client_node", "no_local_port", 1],
  not_sent: ["client_node", "not_sent", 1],
  host_unreachable: ["path", "unreachable", 1],
  net_unreachable: ["path", "unreachable", 1],
};
/** They hold a connection up before it is reset. */
const WAITS: ReadonlySet<unknown> = new Set(["receive_window", "send_buffer"]);

export function compareVerdict(span: ReceivedSpan, said: Differences): void {
  const { attributes } = span;
  const reason = attributes["flowspan.tcp.verdict.reason"];
  const is = [attributes["flowspan.tcp.verdict"], reason, attributes["flowspan.tcp.verdict.value"]];
  const name = `${span.kind} span ${attributes["network.local.port"]} → ${attributes["network.peer.port"]}: verdict`;
  const must = verdictOf(span) ?? (wasReset(span) && !WAITS.has(reason) ? ["unknown", "reset", 1] : undefined);
  if (must !== undefined) said.equal("verdict", name, JSON.stringify(is), JSON.stringify(must));
}

/** @returns undefined where it goes by what the connection waited for or lost, if by anything */
function verdictOf({ kind, attributes }: ReceivedSpan): Verdict | undefined {
  if (attributes["flowspan.tcp.reset.by"] === "local") return [`${kind}_application`, "reset", 1];
  const count = (name: string) => Number(attributes[`flowspan.tcp.retransmit.${name}`] ?? 0);
  const error = String(attributes["error.type"]);
  if (error === "timed_out") return ["unknown", "no_answer", count("count")];
  if (error === "cancelled" && count("syn") > 0) return ["unknown", "no_answer", count("syn")];
  return OF_FAILURES[error];
}

function wasReset({ attributes }: ReceivedSpan): boolean {
  return attributes["flowspan.tcp.reset.by"] !== undefined;
}
