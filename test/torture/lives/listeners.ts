/** What befalls listeners: a full queue, a shared port, data on the SYN. */
import { ending, listen, PLACES, traffic, type Where } from "./connection.ts";
import type { Context } from "./life.ts";

/** More connects than the accept queue holds. */
export function backlog(context: Context): string[] {
  const { random } = context;
  const where = random.pick(PLACES);
  const port = context.port();
  const listener = context.slot();
  const clients = Array.from({ length: random.between(1, 4) }, () => context.slot());
  return [
    ...listen(context, listener, where, port, random.pick([0, 1])),
    ...clients.flatMap((slot) => [
      `a sock ${slot} ${where.family} nonblocking`,
      `a connect ${slot} ${where.to} ${port}`,
      ...(random.chance(0.4) ? [`a send ${slot} 509`] : []),
    ]),
    ...(random.chance(0.4) ? [`b accept ${listener} ${context.slot()} 50`] : []),
    ...(random.chance(0.3) ? [". sleep 1200"] : []),
    ...clients.filter(() => random.chance(0.6)).map((slot) => `a close ${slot}`),
    ...(random.chance(0.6) ? [`b close ${listener}`] : []),
  ];
}

/** Two listeners of two groups on one port. */
export function sharedPort(context: Context): string[] {
  const { random } = context;
  const port = context.port();
  const [one, two] = [context.slot(), context.slot()];
  const lines = ["b", "c"].flatMap((who, i) => [
    `${who} sock ${i === 0 ? one : two} 4 reuseport`,
    `${who} bind ${i === 0 ? one : two} 127.0.0.1 ${port}`,
    `${who} listen ${i === 0 ? one : two} 16`,
  ]);
  for (let i = random.between(1, 4); i > 0; i--) {
    const [client, server] = [context.slot(), context.slot()];
    lines.push(
      `a sock ${client} 4`,
      `a connect ${client} 127.0.0.1 ${port} 500`,
      `b accept ${one} ${server} 20`,
      `c accept ${two} ${server} 20`,
      `a send ${client} 1009`,
    );
  }
  if (random.chance(0.4)) lines.push(`b close ${one}`);
  return lines;
}

/** Data on the SYN. */
export function fastOpen(context: Context): string[] {
  const { random } = context;
  const port = context.port();
  const listener = context.slot();
  const place = PLACES[0] as Where;
  const lines = [
    `. sysctl net/ipv4/tcp_fastopen ${random.pick([3, 1, 0x603])}`,
    ...listen(context, listener, place, port, 16).map((line) =>
      line.includes(" sock ") ? `${line} fastopen=8` : line,
    ),
  ];
  for (let i = random.between(1, 3); i > 0; i--) {
    const [client, server] = [context.slot(), context.slot()];
    lines.push(
      `a sock ${client} 4`,
      `a tfo ${client} 127.0.0.1 ${port} ${random.pick([1, 100, 1300])}`,
      `b accept ${listener} ${server} 200`,
      ...traffic(context, client, server, false),
      ...ending(context, client, server),
    );
  }
  return lines;
}
