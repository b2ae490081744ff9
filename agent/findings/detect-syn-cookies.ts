/** Net namespaces that answered with SYN cookies → syn_cookies. Which of a namespace's listeners did so, the kernel does not count. Pure. */
import {
  ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_FAILED,
  ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_RECEIVED,
  ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_SENT,
  ATTR_FLOWSPAN_NETNS,
} from "../generated/semconv.ts";
import type { Detector } from "./evidence.ts";

export const detectSynCookies: Detector<"syn_cookies"> = ({ namespaces }, { threshold }) =>
  [...namespaces.values()]
    .filter(({ growth }) => growth.syncookiesSent > 0)
    .map(({ id, netns, subject, growth }) => ({
      key: id,
      subject,
      value: growth.syncookiesSent,
      holds: growth.syncookiesSent >= threshold,
      counts: {
        [ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_SENT]: growth.syncookiesSent,
        [ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_RECEIVED]: growth.syncookiesReceived,
        [ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_FAILED]: growth.syncookiesFailed,
      },
      facts: { [ATTR_FLOWSPAN_NETNS]: netns },
    }));
