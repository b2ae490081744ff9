/** A verdict in words: what a history did, and under which name it went. */
import type { Verdict } from "./judge.ts";

export function told({ why, grown, chunk }: Verdict): string {
  const { tenant, address, atMs, bytes } = grown;
  const { kind, name, podName } = chunk.told;
  const as = [kind, podName ?? name].filter((part) => part !== undefined).join(" ");
  return (
    `${chunk.machine.way}: ${why}: ${bytes} bytes at ${atMs} to ${address}, ${tenant.name}'s, went by ${as}; ` +
    `exchanges (${chunk.sinceMs}, ${chunk.untilMs}], settled at ${chunk.namedMs}`
  );
}
