/**
 * Where spans are not what the reference (docs/telemetry.md, "Connection spans") says of the ends that they tell of: form,
 * links, status and cause, addresses, times, events. What a span counts is compared as a record (compare-ends.ts).
 *
 * Pure, for one program.
 */
import { createHash } from "node:crypto";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import { ownerOf } from "./agent-cgroups.ts";
import { CLOCK_NS, errorName } from "./agent-records.ts";
import { compareVerdict } from "./agent-verdicts.ts";
import { takeRecord } from "./compare-ends.ts";
import { type Differences, describeEnd } from "./differences.ts";
import type { ExpectedEnd, Truth } from "./oracle.ts";
import type { End, Trace } from "./trace.ts";

/** A span and what it is as a record. */
export type Recorded = ReadonlyMap<Connection, ReceivedSpan>;

/** @param mayMiss spans were lost by name */
export function compareSpans(
  recorded: Recorded,
  truth: Truth,
  trace: Trace,
  said: Differences,
  mayMiss: boolean,
): void {
  const spans = [...recorded.values()];
  for (const span of spans) {
    compareForm(span, said);
    compareEvents(span, said);
    compareVerdict(span, said);
    compareTask(span, trace, said);
  }
  compareLinks(spans, said);
  const left = [...recorded.keys()].sort((a, b) => Number(a.startNs - b.startNs));
  const aborts = (trace.books["TcpExt.TCPAbortOnTimeout"] ?? 0) > 0;
  for (const end of truth.ends) {
    if (end.use && end.use.restored > 0) continue;
    const record = takeRecord(left, end, { clockNs: CLOCK_NS, errorName }, mayMiss);
    const span = record && recorded.get(record);
    if (!span || !record) continue;
    const name = `span of ${describeEnd(end)}`;
    compareAddresses(name, span, end, said);
    const wasDestroyed = Number(record.endNs) >= trace.destroyed - CLOCK_NS;
    compareOutcome(name, span, end, { aborts, wasDestroyed }, said);
    compareSpanTimes(name, record, end, said);
  }
}

const NAME = "tcp connection";
const ROLES: ReadonlySet<string> = new Set(["client", "server"]);
const TYPES = ["syn", "fast", "timeout", "tail_loss_probe", "non_congestion"];

function describe({ kind, attributes }: ReceivedSpan): string {
  return `${kind} span ${attributes["network.local.port"]} → ${attributes["network.peer.port"]}`;
}

function compareForm(span: ReceivedSpan, said: Differences): void {
  const { attributes } = span;
  const equal = (what: string, is: unknown, must: unknown) =>
    said.equal("span-form", `${describe(span)}: ${what}`, is, must);
  equal("name", span.name, NAME);
  equal("scope", span.scope, "flowspan");
  if (!ROLES.has(span.kind)) said.add("span-form", `${describe(span)}: its kind is ${span.kind}`);
  equal("status", span.status, attributes["error.type"] === undefined ? "unset" : "error");
  equal("trace state", span.traceState, "ot=th:0");
  equal("trace id's length", /^(?!0+$)[0-9a-f]{32}$/.test(span.traceId), true);
  // The bench asks for a probability of 1.
  equal("flowspan.sampling.reasons", String(attributes["flowspan.sampling.reasons"]), "random");
  equal("network.transport", attributes["network.transport"], "tcp");
  const isSix = String(attributes["network.local.address"]).includes(":");
  equal("network.type", attributes["network.type"], isSix ? "ipv6" : "ipv4");
  equal("flowspan.peer.kind", attributes["flowspan.peer.kind"], "loopback");
  const wasReset = attributes["flowspan.tcp.reset.by"] !== undefined;
  if (wasReset && attributes["error.type"] === undefined)
    said.add("span-form", `${describe(span)}: was reset, and has no error.type`);
  const count = Number(attributes["flowspan.tcp.retransmit.count"]);
  const types = TYPES.reduce((sum, type) => sum + Number(attributes[`flowspan.tcp.retransmit.${type}`] ?? 0), 0);
  if (types > count) said.add("span-form", `${describe(span)}: ${types} retransmits by type, of ${count}`);
}

/** In order, within the span, and as many as were counted. */
function compareEvents(span: ReceivedSpan, said: Differences): void {
  const { attributes, events, startUnixNs, endUnixNs } = span;
  const add = (sentence: string) => said.add("events", `${describe(span)}: ${sentence}`);
  for (const [i, event] of events.entries()) {
    const before = events[i - 1]?.timeUnixNs ?? startUnixNs;
    if (event.timeUnixNs < before) add(`${event.name} comes ${before - event.timeUnixNs} ns before what it follows`);
    if (event.timeUnixNs > endUnixNs) add(`${event.name} comes ${event.timeUnixNs - endUnixNs} ns after the end`);
  }
  const close = events.filter(({ name }) => name === "flowspan.tcp.close");
  const isWhole = attributes["flowspan.tcp.checkpointed"] !== true;
  if (close.length !== (isWhole ? 1 : 0)) add(`it closes ${close.length} times`);
  if (close[0] && close[0].timeUnixNs !== endUnixNs) add("it closes at another time than it ends");
  if (
    close[0]?.attributes["network.connection.state"] !== (isWhole ? attributes["network.connection.state"] : undefined)
  )
    add("it closes in another state than it ended in");
  const again = events
    .filter(({ name }) => name === "flowspan.tcp.retransmit")
    .reduce((sum, event) => sum + Number(event.attributes["flowspan.tcp.retransmit.segments"]), 0);
  const count = Number(attributes["flowspan.tcp.retransmit.count"]);
  if (again + span.droppedEvents !== count)
    add(`${again} segments sent again have events, ${span.droppedEvents} have none, of ${count}`);
}

/** A puppet's own name is its letter's. */
function compareTask(span: ReceivedSpan, { puppets }: Trace, said: Differences): void {
  const pid = span.attributes["flowspan.task.pid"];
  const who = Object.entries(puppets).find(([, id]) => id === pid)?.[0];
  if (who !== undefined)
    said.equal("process", `${describe(span)}: its task`, span.attributes["flowspan.task.name"], `torture-${who}`);
}

/** A server's span is the child of the client's, and ids are what their definition makes them. */
function compareLinks(spans: readonly ReceivedSpan[], said: Differences): void {
  for (const span of spans) {
    const isShared = span.kind === "server" && span.attributes["flowspan.tcp.restored"] !== true;
    said.equal("link", `${describe(span)}: span id`, span.spanId, spanIdOf(span.traceId, span.kind));
    const parent = isShared ? spanIdOf(span.traceId, "client") : "";
    said.equal("link", `${describe(span)}: parent`, span.parentSpanId, parent);
  }
}

/** As ARCHITECTURE.md defines it: two agents come to it without a word. */
function spanIdOf(traceId: string, role: string): string {
  return createHash("sha256").update(`flowspan/${traceId}/${role}`).digest("hex").slice(0, 16);
}

function compareAddresses(name: string, span: ReceivedSpan, end: ExpectedEnd, said: Differences): void {
  const { role, conversation, use } = end;
  const { attributes } = span;
  const address = (what: string, which: End) => {
    said.equal("address", `${name}: ${what}.address`, unmapped(attributes[`${what}.address`]), which.address);
    if (what !== "network.local" || attributes["network.local.port"] !== undefined)
      said.equal("address", `${name}: ${what}.port`, attributes[`${what}.port`], which.port);
  };
  if (conversation) {
    const { client, server } = conversation;
    address("network.local", role === "client" ? client : server);
    address("network.peer", role === "client" ? server : client);
    address("server", server);
    if (role === "server") address("client", client);
  }
  if (role === "client") said.equal("address", `${name}: client.address`, attributes["client.address"], undefined);
  const puppet = ownerOf(span.resource)?.puppet;
  if (use && !use.cgroups.some((cgroup) => cgroup === puppet))
    said.add("whose", `${name}: its cgroup is ${puppet}, must be ${use.cgroups.join(" or ")}`);
}

function unmapped(address: unknown): string {
  return String(address).replace("::ffff:", "");
}

/**
 * @param aborts whether the kernel gave some connection of the program up because a timer ran out
 * @param wasDestroyed at the end of the program: with an error that has no name, and in LAST_ACK without a RST (tcp_abort())
 */
function compareOutcome(
  name: string,
  { attributes }: ReceivedSpan,
  { established, resetSent, resetReceived, use }: ExpectedEnd,
  { aborts, wasDestroyed }: { readonly aborts: boolean; readonly wasDestroyed: boolean },
  said: Differences,
): void {
  const type = attributes["error.type"];
  const by = attributes["flowspan.tcp.reset.by"];
  if (established === false) {
    if (type === undefined) said.add("status", `${name}: it never came to be, and has no error.type`);
    return;
  }
  if (!established || resetSent === undefined || resetReceived === undefined) return;
  const mayTimeOut = aborts || use?.timedOut === true;
  if (!resetSent && !resetReceived) {
    const mayHave = (mayTimeOut && GIVEN_UP.has(String(type))) || (wasDestroyed && type === "_OTHER");
    if (type !== undefined && !mayHave) said.add("status", `${name}: it ended in order, and its error.type is ${type}`);
    return;
  }
  said.equal("status", `${name}: flowspan.tcp.reset.by`, by, resetSent ? "local" : "remote");
  if (type !== "reset" && !(mayTimeOut && type === "timed_out"))
    said.add("status", `${name}: it was reset, and its error.type is ${type}`);
}

/** What a timer tells that gives a connection up: what ICMP said before, if anything (sk_err_soft). */
const GIVEN_UP: ReadonlySet<string> = new Set(["timed_out", "host_unreachable", "refused"]);

/** On the clock of the calls and of the wire. */
function compareSpanTimes(name: string, record: Connection, end: ExpectedEnd, said: Differences): void {
  const { role, conversation, resetSent, resetReceived } = end;
  if (!conversation) return;
  const { began, last, sent } = conversation;
  const established = Number(record.establishedNs);
  if (established > 0 && (established < began - CLOCK_NS || established > last + CLOCK_NS))
    said.add("span-times", `${name}: was established ${(established - began) / 1000} µs after its SYN`);
  const fin = sent[role].finAcknowledged;
  if (resetSent === false && resetReceived === false && fin < Number.POSITIVE_INFINITY)
    if (Number(record.endNs) < fin - CLOCK_NS)
      said.add(
        "span-times",
        `${name}: ended ${(fin - Number(record.endNs)) / 1000} µs before its FIN was acknowledged`,
      );
}
