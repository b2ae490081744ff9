/**
 * What the agent asks of the probe → command frames. Pure; sends nothing.
 */
import { commandScope, commandSettings, FrameKind, ScopeFlag } from "../generated/layout.ts";
import { parseAddress } from "./address.ts";
import { type Frame, NO_PAYLOAD } from "./frames.ts";
import type { ProbeSettings, Scope } from "./source.ts";

export const EXCHANGE_COMMAND: Frame = { kind: FrameKind.COMMAND_EXCHANGE, payload: NO_PAYLOAD };
export const FLUSH_COMMAND: Frame = { kind: FrameKind.COMMAND_FLUSH, payload: NO_PAYLOAD };

export function settleCommand(row: Uint8Array): Frame {
  return { kind: FrameKind.COMMAND_SETTLE, payload: row };
}

export function settingsCommand(settings: ProbeSettings): Frame {
  const payload = Buffer.alloc(commandSettings.size);
  payload.writeBigUInt64LE(settings.idleNs, commandSettings.fields.idleNs.offset);
  payload.writeUInt32LE(settings.records ? 1 : 0, commandSettings.fields.records.offset);
  return { kind: FrameKind.COMMAND_SETTINGS, payload };
}

/** The only way to say "no scopes": a set must begin with one, and this one changes nothing. */
const KEEPS_ALL: Scope = { address: "::", prefixLength: 128, collapse: false };

/**
 * The commands that replace the set of scopes by `scopes`.
 *
 * @throws RangeError when an address is none or a prefix is longer than its address
 */
export function scopeCommands(scopes: readonly Scope[]): Frame[] {
  return (scopes.length > 0 ? scopes : [KEEPS_ALL]).map((scope, index) => scopeCommand(scope, index === 0));
}

function scopeCommand({ address, prefixLength, collapse }: Scope, first: boolean): Frame {
  const bytes = parseAddress(address);
  const bits = address.includes(":") ? 128 : 32;
  if (bytes === undefined || !Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bits) {
    throw new RangeError(`${address}/${prefixLength} is no prefix of IPv4 or IPv6 addresses`);
  }
  const payload = Buffer.alloc(commandScope.size);
  payload.set(bytes, commandScope.fields.addr.offset);
  payload.writeUInt32LE(128 - bits + prefixLength, commandScope.fields.prefixLength.offset);
  const flags = (first ? ScopeFlag.SCOPE_FIRST : 0) | (collapse ? ScopeFlag.SCOPE_COLLAPSE : 0);
  payload.writeUInt32LE(flags, commandScope.fields.flags.offset);
  return { kind: FrameKind.COMMAND_SCOPE, payload };
}
