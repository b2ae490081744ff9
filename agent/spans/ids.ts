/**
 * Span ids, made from the trace id: two agents that never talk to each other agree on them.
 *
 * The id of a span is the first 8 bytes of SHA-256 over "flowspan/" + the trace id in hex + "/" + the role
 * that the span's end plays, and for an interim record "/" + its number. So the agent of a server knows the id of
 * the client's span, and a record that is sent twice is one span.
 */
import { hash } from "node:crypto";

const DIGITS = 16;
/** All zeros is no span id (W3C Trace Context): one in 2^64. */
const NO_ID = "0".repeat(DIGITS);
const INSTEAD = `${"0".repeat(DIGITS - 1)}1`;

/** The span of one end of a connection. @param traceId 32 hex digits */
export function connectionSpanId(traceId: string, role: "client" | "server"): string {
  return digest(`flowspan/${traceId}/${role}`);
}

/** The span of one interim record of one end of it. */
export function interimSpanId(traceId: string, role: "client" | "server", index: number): string {
  return digest(`flowspan/${traceId}/${role}/${index}`);
}

function digest(text: string): string {
  const id = hash("sha256", text, "hex").slice(0, DIGITS);
  return id === NO_ID ? INSTEAD : id;
}
