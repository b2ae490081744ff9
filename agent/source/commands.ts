/**
 * What the agent asks of the probe → command frames. Pure; sends nothing.
 */
import {
  commandPrefixRule,
  commandRecords,
  commandSettings,
  FrameKind,
  PrefixRuleFlag,
  SAMPLE_NEVER,
} from "../generated/layout.ts";
import { parseAddress } from "../shared/address.ts";
import { type Frame, NO_PAYLOAD } from "./frames.ts";
import type { PrefixRule, ProbeSettings, RecordSettings, SettledRow } from "./source.ts";

export const EXCHANGE_COMMAND: Frame = { kind: FrameKind.COMMAND_EXCHANGE, payload: NO_PAYLOAD };
export const FLUSH_COMMAND: Frame = { kind: FrameKind.COMMAND_FLUSH, payload: NO_PAYLOAD };

/** One command a row, made when it is asked for. */
export function* settleCommands(rows: Iterable<SettledRow>): Generator<Frame> {
  for (const { row, isEvidence } of rows)
    yield { kind: isEvidence === true ? FrameKind.COMMAND_SETTLE_EVIDENCE : FrameKind.COMMAND_SETTLE, payload: row };
}

/** What is recorded where nothing was set: every connection, under a key of zeros. */
const EVERY_CONNECTION: RecordSettings = {
  activeTimeoutNs: 0n,
  traceKey: [0n, 0n],
  threshold: SAMPLE_NEVER,
  every: 0,
  adaptive: undefined,
  rate: { perSecond: 0, burst: 0 },
};

export function settingsCommand({
  idleNs,
  edgesShare = 100,
  records,
  recordsAtOnce = false,
  recording = EVERY_CONNECTION,
}: ProbeSettings): Frame {
  const payload = Buffer.alloc(commandSettings.size);
  const at = commandSettings.fields;
  const { activeTimeoutNs, traceKey, threshold, every, adaptive, rate } = recording;
  payload.writeBigUInt64LE(idleNs, at.idleNs.offset);
  payload.writeBigUInt64LE(activeTimeoutNs, at.activeTimeoutNs.offset);
  payload.writeBigUInt64LE(traceKey[0], at.traceKey.offset);
  payload.writeBigUInt64LE(traceKey[1], at.traceKey.offset + 8);
  payload.writeBigUInt64LE(threshold, at.sampleThreshold.offset);
  payload.writeUInt32LE(records ? 1 : 0, at.records.offset);
  payload.writeUInt32LE(every, at.sampleEvery.offset);
  payload.writeUInt32LE(adaptive === undefined ? 0 : 1, at.adaptive.offset);
  payload.writeUInt32LE(adaptive?.rttUs ?? 0, at.adaptiveRttUs.offset);
  payload.writeUInt32LE(adaptive?.retransmits ?? ALL_ONES, at.adaptiveRetransmits.offset);
  payload.writeUInt32LE(rate.perSecond, at.recordsPerS.offset);
  payload.writeUInt32LE(rate.burst, at.recordsBurst.offset);
  payload.writeUInt32LE(recordsAtOnce ? 1 : 0, at.recordsAtOnce.offset);
  payload.writeUInt32LE(edgesShare, at.edgesShare.offset);
  return { kind: FrameKind.COMMAND_SETTINGS, payload };
}

const ALL_ONES = 0xffff_ffff;

/** What became of the connection records that one agent received, over all its connections. */
export interface RecordSums {
  /** Random: this agent, for as long as it lives. */
  readonly agent: bigint;
  readonly received: number;
  /** Of those: accepted by the Collector, or counted as a loss with a name. */
  readonly resolved: number;
}

export function recordsCommand({ agent, received, resolved }: RecordSums): Frame {
  const payload = Buffer.alloc(commandRecords.size);
  const at = commandRecords.fields;
  payload.writeBigUInt64LE(agent, at.agent.offset);
  payload.writeBigUInt64LE(BigInt(received), at.received.offset);
  payload.writeBigUInt64LE(BigInt(resolved), at.settled.offset);
  return { kind: FrameKind.COMMAND_RECORDS, payload };
}

/** The only way to say "no rules": a set must begin with one, and this one changes nothing. */
const KEEPS_ALL: PrefixRule = { address: "::", prefixLength: 128, collapse: false };

/**
 * The commands that replace the set of prefix rules by `rules`.
 *
 * @throws RangeError when an address is none or a prefix is longer than its address
 */
export function prefixRuleCommands(rules: readonly PrefixRule[]): Frame[] {
  return (rules.length > 0 ? rules : [KEEPS_ALL]).map((rule, index) => prefixRuleCommand(rule, index === 0));
}

function prefixRuleCommand({ address, prefixLength, collapse }: PrefixRule, first: boolean): Frame {
  const bytes = parseAddress(address);
  const bits = address.includes(":") ? 128 : 32;
  if (bytes === undefined || !Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bits) {
    throw new RangeError(`${address}/${prefixLength} is no prefix of IPv4 or IPv6 addresses`);
  }
  const payload = Buffer.alloc(commandPrefixRule.size);
  payload.set(bytes, commandPrefixRule.fields.addr.offset);
  payload.writeUInt32LE(128 - bits + prefixLength, commandPrefixRule.fields.prefixLength.offset);
  const flags = (first ? PrefixRuleFlag.PREFIX_RULE_FIRST : 0) | (collapse ? PrefixRuleFlag.PREFIX_RULE_COLLAPSE : 0);
  payload.writeUInt32LE(flags, commandPrefixRule.fields.flags.offset);
  return { kind: FrameKind.COMMAND_PREFIX_RULE, payload };
}
