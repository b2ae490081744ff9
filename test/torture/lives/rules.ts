/** Rules of the namespace that take packets: all of them, or some. */
import { connection, PLACES } from "./connection.ts";
import type { Context } from "./life.ts";

/** Rules that take or refuse packets, before or while it is open. */
export function filtered(context: Context): string[] {
  const { random } = context;
  const what = random.pick([
    "DROP",
    "REJECT",
    "REJECT --reject-with tcp-reset",
    "REJECT --reject-with icmp-host-unreachable",
  ]);
  const chain = random.pick(["INPUT", "OUTPUT"]);
  const side = random.pick(["--dport", "--sport"]);
  const place = PLACES[0];
  const rule = (port: number) => [`. rule 4 -A ${chain} -p tcp ${side} ${port} -j ${what}`];
  if (random.chance(0.6)) return connection(context, { ...(place ? { place } : {}), after: rule });
  const slot = context.slot();
  const port = context.port();
  return [
    ...rule(port),
    `a sock ${slot} 4`,
    `a connect ${slot} 127.0.0.1 ${port} ${random.pick([50, 1200])}`,
    `a close ${slot}`,
  ];
}

/** Every tenth or so packet of the connection is lost, in one direction or in both. */
export function lossy(context: Context): string[] {
  const { random } = context;
  const share = random.pick([0.05, 0.1, 0.3]);
  const sides = random.pick([["--dport"], ["--sport"], ["--dport", "--sport"]]);
  const place = PLACES[0];
  return connection(context, {
    ...(place ? { place } : {}),
    bulk: true,
    after: (port) =>
      sides.map(
        (side) => `. rule 4 -A INPUT -p tcp ${side} ${port} -m statistic --mode random --probability ${share} -j DROP`,
      ),
  });
}
