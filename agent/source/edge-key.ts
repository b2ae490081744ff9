/** The key of an edge: the same bytes for every protocol, of which `protocol` says how the value behind it is laid out. */
import { EdgeRole, edgeKey } from "../generated/layout.ts";
import type { EdgeKey, Role } from "../model/edge.ts";
import { formatAddress } from "../shared/address.ts";
import type { BytesAt } from "./frame-fields.ts";

export const ROLE_NAMES: readonly (Role | undefined)[] = roleNames();

function roleNames(): (Role | undefined)[] {
  const names: (Role | undefined)[] = [];
  names[EdgeRole.ROLE_CLIENT] = "client";
  names[EdgeRole.ROLE_SERVER] = "server";
  names[EdgeRole.ROLE_LISTENER] = "listener";
  return names;
}

/**
 * Decodes `EdgeGrowth.id`. Slower than a map look-up by far: call it once for each edge.
 *
 * @param id 48 bytes as latin1 text, with one of the known roles; decodeEdge() lets no other pass
 */
export function decodeEdgeKey(id: string): EdgeKey {
  const bytes = Buffer.from(id, "latin1");
  const role = ROLE_NAMES[bytes[edgeKey.fields.role.offset] ?? 0];
  if (bytes.length !== edgeKey.size || role === undefined) throw new RangeError("not the id of an edge");
  const address = ({ offset, length }: BytesAt) => id.slice(offset, offset + length);
  const local = address(edgeKey.fields.localAddr);
  const remote = address(edgeKey.fields.remoteAddr);
  const serverPort = bytes.readUInt16LE(edgeKey.fields.serverPort.offset);
  return {
    cgroup: bytes.readBigUInt64LE(edgeKey.fields.cgroup.offset),
    localAddress: formatAddress(local),
    remoteAddress: formatAddress(remote),
    netns: bytes.readUInt32LE(edgeKey.fields.netns.offset),
    serverPort,
    role,
    // A listener bound to [::] has no local address either, but it has a port.
    overflow: local === UNSPECIFIED && remote === UNSPECIFIED && serverPort === 0,
  };
}

const UNSPECIFIED = "\0".repeat(16);
