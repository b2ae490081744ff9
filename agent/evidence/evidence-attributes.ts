/** The attributes of a point of evidence, by its key and its names. Pure. */
import {
  ATTR_FLOWSPAN_DROP_REASON,
  ATTR_FLOWSPAN_NEIGHBOUR_FAILURE,
  ATTR_FLOWSPAN_NETNS,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_ROLE,
  ATTR_NETWORK_INTERFACE_NAME,
  ATTR_NETWORK_IO_DIRECTION,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_TRANSPORT,
  ATTR_NETWORK_TYPE,
  ATTR_OTEL_METRIC_OVERFLOW,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
  FLOWSPAN_NEIGHBOUR_FAILURE_VALUE_TABLE_FULL,
  FLOWSPAN_NEIGHBOUR_FAILURE_VALUE_UNRESOLVED,
  NETWORK_IO_DIRECTION_VALUE_RECEIVE,
  NETWORK_IO_DIRECTION_VALUE_TRANSMIT,
} from "../generated/semconv.ts";
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import type { EvidenceRow } from "../model/kernel-evidence.ts";
import type { EvidenceNamed } from "./evidence-names.ts";

const TYPES: ReadonlyMap<number, string> = new Map([
  [0x0800, "ipv4"],
  [0x86dd, "ipv6"],
]);
const TRANSPORTS: ReadonlyMap<number, string> = new Map([
  [6, "tcp"],
  [17, "udp"],
]);

/** @param peerAddress whether the remote address is one of them, which has no end */
export function dropAttributes(
  row: EvidenceRow,
  named: EvidenceNamed,
  reason: string,
  peerAddress: boolean,
): Attributes {
  const { key } = row;
  const { remote } = named;
  const port = key.serverPort === 0 ? undefined : key.serverPort;
  const turned = key.direction === "forward" && named.direction === "receive" && named.isOwned;
  return known({
    [ATTR_FLOWSPAN_DROP_REASON]: reason,
    [ATTR_NETWORK_IO_DIRECTION]: directionOf(named),
    [ATTR_NETWORK_TYPE]: TYPES.get(key.etherType),
    [ATTR_NETWORK_TRANSPORT]: TRANSPORTS.get(key.transport),
    ...placeAttributes(row, named),
    [ATTR_SERVER_PORT]: port,
    [ATTR_FLOWSPAN_ROLE]: port === undefined ? undefined : turned ? other(key.role) : key.role,
    [ATTR_FLOWSPAN_PEER_KIND]: remote?.kind,
    [ATTR_SERVICE_PEER_NAME]: remote?.name,
    [ATTR_SERVICE_PEER_NAMESPACE]: remote?.namespace,
    [ATTR_NETWORK_PEER_ADDRESS]: peerAddress ? (turned ? key.localAddress : key.remoteAddress) : undefined,
  });
}

/** Of what shares a series: by reason and direction alone. */
export function overflowAttributes({ key }: EvidenceRow, named: EvidenceNamed, reason: string): Attributes {
  const overflow = { [ATTR_OTEL_METRIC_OVERFLOW]: true };
  if (key.kind !== "drop") return overflow;
  return { ...overflow, [ATTR_FLOWSPAN_DROP_REASON]: reason, [ATTR_NETWORK_IO_DIRECTION]: directionOf(named) };
}

export function neighbourAttributes(row: EvidenceRow, named: EvidenceNamed): Attributes {
  const { key } = row;
  return known({
    [ATTR_FLOWSPAN_NEIGHBOUR_FAILURE]:
      key.kind === "neighbour-overflow"
        ? FLOWSPAN_NEIGHBOUR_FAILURE_VALUE_TABLE_FULL
        : FLOWSPAN_NEIGHBOUR_FAILURE_VALUE_UNRESOLVED,
    [ATTR_NETWORK_PEER_ADDRESS]: key.remoteAddress,
    ...placeAttributes(row, named),
  });
}

function directionOf({ direction }: EvidenceNamed): string {
  return direction === "transmit" ? NETWORK_IO_DIRECTION_VALUE_TRANSMIT : NETWORK_IO_DIRECTION_VALUE_RECEIVE;
}

function placeAttributes({ key, device }: EvidenceRow, { isOwned }: EvidenceNamed) {
  return {
    [ATTR_NETWORK_INTERFACE_NAME]: device === "" ? undefined : device,
    [ATTR_FLOWSPAN_NETNS]: isOwned || key.netns === 0 ? undefined : key.netns,
  };
}

function other(role: string | undefined): string | undefined {
  return role === "client" ? "server" : role === "server" ? "client" : undefined;
}

function known(attributes: Readonly<Record<string, AttributeValue | undefined>>): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, AttributeValue] => entry[1] !== undefined),
  );
}
