/** Attempts that come to nothing: nobody listens, nobody answers, no port is left. */
import { CLIENT_OPTIONS, listen, options, PLACES, type Where } from "./connection.ts";
import type { Context } from "./life.ts";

/** Nobody listens there. */
export function refused(context: Context): string[] {
  const { random } = context;
  const where = random.pick(PLACES);
  const slot = context.slot();
  const waits = random.chance(0.5);
  return [
    `a sock ${slot} ${where.family}${waits ? "" : " nonblocking"}${options(random, CLIENT_OPTIONS)}`,
    `a connect ${slot} ${where.to} ${context.port()} 1500`,
    ...(!waits && random.chance(0.7) ? [`a finish ${slot} 200`] : []),
    ...(random.chance(0.5) ? [`a close ${slot}`] : []),
  ];
}

/** Given up before an answer came: the SYN never arrives. */
export function abandoned(context: Context): string[] {
  const { random } = context;
  const slot = context.slot();
  const port = context.port();
  const waits = random.chance(0.5);
  return [
    `. rule 4 -A INPUT -p tcp --dport ${port} -j DROP`,
    `a sock ${slot} 4${waits ? "" : " nonblocking"}`,
    `a connect ${slot} 127.0.0.1 ${port} ${random.pick([20, 60, 1300])}`,
    random.pick([`a close ${slot}`, `a shut ${slot} b`, `a unspec ${slot}`, ". sleep 1100"]),
    `a close ${slot}`,
  ];
}

/** A range of three local ports, and more connects than that. */
export function exhausted(context: Context): string[] {
  const { random } = context;
  const port = context.port();
  const listener = context.slot();
  const slots = Array.from({ length: random.between(3, 6) }, () => context.slot());
  const place = PLACES[0] as Where;
  return [
    ...listen(context, listener, place, port, 128),
    ". sysctl net/ipv4/ip_local_port_range 40000 40002",
    ...slots.flatMap((slot) => [`a sock ${slot} 4`, `a connect ${slot} 127.0.0.1 ${port} 500`]),
    ...slots.filter(() => random.chance(0.5)).map((slot) => `a close ${slot}`),
    ". sysctl net/ipv4/ip_local_port_range 32768 60999",
  ];
}
