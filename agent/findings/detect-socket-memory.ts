/**
 * Net namespaces in which the kernel dropped received segments or ended connections for want of memory → socket_memory.
 * Pruning alone is none: a queue that is made smaller in time drops nothing. Pure.
 */
import {
  ATTR_FLOWSPAN_KERNEL_PRUNE_CALLED,
  ATTR_FLOWSPAN_KERNEL_RCV_PRUNED,
  ATTR_FLOWSPAN_KERNEL_TCP_ABORT_ON_MEMORY,
  ATTR_FLOWSPAN_KERNEL_TCP_MEMORY_PRESSURES,
  ATTR_FLOWSPAN_KERNEL_TCP_RCV_Q_DROP,
  ATTR_FLOWSPAN_NETNS,
} from "../generated/semconv.ts";
import type { Detector, NamespaceGrowth } from "./evidence.ts";

export const detectSocketMemory: Detector<"socket_memory"> = ({ namespaces }, { threshold }) =>
  [...namespaces.values()]
    .filter(({ growth }) => hurtOf(growth) > 0)
    .map(({ id, netns, subject, growth }) => ({
      key: id,
      subject,
      value: hurtOf(growth),
      holds: hurtOf(growth) >= threshold,
      counts: {
        [ATTR_FLOWSPAN_KERNEL_PRUNE_CALLED]: growth.pruneCalled,
        [ATTR_FLOWSPAN_KERNEL_RCV_PRUNED]: growth.rcvPruned,
        [ATTR_FLOWSPAN_KERNEL_TCP_RCV_Q_DROP]: growth.tcpRcvQDrop,
        [ATTR_FLOWSPAN_KERNEL_TCP_ABORT_ON_MEMORY]: growth.tcpAbortOnMemory,
        [ATTR_FLOWSPAN_KERNEL_TCP_MEMORY_PRESSURES]: growth.tcpMemoryPressures,
      },
      facts: { [ATTR_FLOWSPAN_NETNS]: netns },
    }));

function hurtOf({ rcvPruned, tcpRcvQDrop, tcpAbortOnMemory, tcpMemoryPressures }: NamespaceGrowth): number {
  return rcvPruned + tcpRcvQDrop + tcpAbortOnMemory + tcpMemoryPressures;
}
