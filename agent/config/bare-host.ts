/**
 * An endpoint whose host is an IPv6 address without its brackets, as it comes of `http://${HOST_IP}:4317` on a
 * cluster of IPv6. Without brackets it is no URL, so nothing else can be meant: what follows the last colon is the
 * port. An address without a port is left as it is, for its reader to refuse.
 */
import { isIPv6 } from "node:net";

/** The same endpoint with brackets around a bare IPv6 host; any other as it came. */
export function bracketed(endpoint: string): string {
  const [, scheme = "", host = "", rest = ""] =
    /^(https?:\/\/)?([0-9a-f:.]+)(:\d{1,5}(?:\/.*)?)$/i.exec(endpoint) ?? [];
  return isIPv6(host) ? `${scheme}[${host}]${rest}` : endpoint;
}
