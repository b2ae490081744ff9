/** One socket that is several after each other. */
import { listen, PLACES, traffic, type Where } from "./connection.ts";
import type { Context } from "./life.ts";

/** One socket, several connections after each other. */
export function reused(context: Context): string[] {
  const { random } = context;
  const where = random.pick(PLACES);
  const port = context.port();
  const [listener, client] = [context.slot(), context.slot()];
  const lines = [...listen(context, listener, where, port, 128), `a sock ${client} ${where.family}`];
  for (let i = random.between(2, 3); i > 0; i--) {
    const server = context.slot();
    lines.push(
      ...(random.chance(0.2)
        ? [`a connect ${client} ${where.to} ${context.port()} 500`]
        : [
            `a connect ${client} ${where.to} ${port} 500`,
            `b accept ${listener} ${server} 200`,
            ...traffic(unrepaired(context), client, server, false),
          ]),
      ...(random.chance(0.5) ? [`b close ${server}`] : []),
      `a unspec ${client}`,
    );
  }
  return lines;
}

/** A restored socket keeps its port, and so would the connections after it: nobody could tell them apart. */
function unrepaired(context: Context): Context {
  return { ...context, has: (feature) => feature !== "repair" && context.has(feature) };
}

/** A socket that was a client and listens, or listened and is a client. */
export function relistened(context: Context): string[] {
  const { random } = context;
  const [port, second] = [context.port(), context.port()];
  const [listener, socket, client] = [context.slot(), context.slot(), context.slot()];
  const place = PLACES[0] as Where;
  const asClient = [`b connect ${socket} 127.0.0.1 ${port} 500`, `b send ${socket} 1009`, `b unspec ${socket}`];
  const asServer = [
    `b bind ${socket} 127.0.0.1 ${second}`,
    `b listen ${socket} 8`,
    `a sock ${client} 4`,
    `a connect ${client} 127.0.0.1 ${second} 500`,
    `a send ${client} 109`,
  ];
  const order = random.chance(0.5) ? [...asClient, ...asServer] : [...asServer, `b unspec ${socket}`, ...asClient];
  return [...listen(context, listener, place, port, 8), `b sock ${socket} 4 reuse`, ...order];
}
