/** The plain life: a listener, connections to it, what moves over them, and how each of them ends. */
import type { Random } from "../program.ts";
import type { Context } from "./life.ts";

const SIZES = [0, 1, 23, 1009, 4099, 20_011, 65_537, 200_003] as const;

export interface Where {
  readonly family: "4" | "6";
  readonly listen: string;
  readonly listenFamily: "4" | "6";
  readonly to: string;
}

export const PLACES: readonly Where[] = [
  { family: "4", listen: "127.0.0.1", listenFamily: "4", to: "127.0.0.1" },
  { family: "4", listen: "0.0.0.0", listenFamily: "4", to: "127.0.0.2" },
  { family: "4", listen: "::", listenFamily: "6", to: "127.0.0.3" },
  { family: "6", listen: "::1", listenFamily: "6", to: "::1" },
  { family: "6", listen: "::", listenFamily: "6", to: "::ffff:127.0.0.1" },
  { family: "6", listen: "127.0.0.2", listenFamily: "4", to: "::ffff:127.0.0.2" },
];

export const CLIENT_OPTIONS = [
  ...["nodelay", "cork", "quickack=0", "patience=300", "keepalive", "sndbuf=4096", "rcvbuf=2048", "clamp=1000"],
  ...["mss=536", "linger=0", "linger=1", "linger2=1", "idle=1"],
];
const SERVER_OPTIONS = [
  "reuse",
  "defer=1",
  "rcvbuf=4096",
  "sndbuf=8192",
  "nodelay",
  "mss=1000",
  "linger=0",
  "clamp=2000",
];

export function options(random: Random, from: readonly string[]): string {
  let text = "";
  while (random.chance(0.35)) text += ` ${random.pick(from)}`;
  return text;
}

interface Shape {
  readonly mptcp?: boolean;
  readonly place?: Where;
  /** Lines once both ends are connected, before the traffic. */
  readonly after?: (port: number) => string[];
  readonly bulk?: boolean;
}

/** A listener, one to three connections to it, traffic over each, and an end to each. */
export function connection(context: Context, { mptcp = false, place, after, bulk = false }: Shape = {}): string[] {
  const { random } = context;
  const where = place ?? random.pick(PLACES);
  const port = context.port();
  const listener = context.slot();
  const kind = mptcp ? " mptcp" : "";
  const lines = listen(context, listener, where, port, random.pick([1, 5, 128]), kind);
  for (let i = random.between(1, bulk ? 1 : 3); i > 0; i--) {
    const [client, server] = [context.slot(), context.slot()];
    const isNonBlocking = random.chance(0.3);
    lines.push(
      `a sock ${client} ${where.family}${kind}${options(random, CLIENT_OPTIONS)}${isNonBlocking ? " nonblocking" : ""}`,
      ...(random.chance(0.1) ? [`a bind ${client} ${where.family === "4" ? "127.0.0.1" : "::"} 0`] : []),
      `a connect ${client} ${where.to} ${port} 1500`,
      ...(isNonBlocking ? [`a finish ${client} 500`] : []),
      `b accept ${listener} ${server} 300`,
      ...(after?.(port) ?? []),
      ...traffic(context, client, server, bulk),
      ...ending(context, client, server),
    );
  }
  if (random.chance(0.5)) lines.push(`b close ${listener}`);
  return lines;
}

export function listen(context: Context, slot: number, where: Where, port: number, depth: number, more = ""): string[] {
  return [
    `b sock ${slot} ${where.listenFamily}${more} reuse${options(context.random, SERVER_OPTIONS)}`,
    `b bind ${slot} ${where.listen} ${port}`,
    `b listen ${slot} ${depth}`,
  ];
}

/** What two connected ends do to each other. */
export function traffic(context: Context, client: number, server: number, bulk: boolean): string[] {
  const { random } = context;
  const lines: string[] = [];
  for (let i = random.between(0, 6); i > 0; i--) lines.push(...step(context, client, server, bulk));
  return lines;
}

function step(context: Context, client: number, server: number, bulk: boolean): string[] {
  const { random, has } = context;
  const [who, slot, other, peer] = random.chance(0.5)
    ? (["a", client, "b", server] as const)
    : (["b", server, "a", client] as const);
  const size = bulk ? random.pick(SIZES.slice(4)) : random.pick(SIZES);
  const steps: (() => string[])[] = [
    () => [`${who} send ${slot} ${size}`, `${other} recv ${peer} ${size} 50`],
    () => [`${who} send ${slot} ${size}`, `${other} recv ${peer} ${random.between(0, size)} 20`],
    () => [`${who}& send ${slot} ${size} 60`, `${other} recv ${peer} ${size} 60`, `${who} settle ${slot} 100`],
    () => [`${who} send ${slot} ${size}`],
    () => [`${other} recv ${peer} ${size} 20`],
    () => [`${who} settle ${slot} 60`],
    () => [`${who} option ${slot}${options(random, CLIENT_OPTIONS)} nodelay`],
    () => [`. sleep ${random.between(1, 30)}`],
  ];
  if (has("halfclose")) steps.push(() => [`${who} shut ${slot} ${random.pick(["r", "w", "w", "b"])}`]);
  if (has("fork"))
    steps.push(
      () => [`${who} fork`],
      () => [`${who} reap`],
      () => duplicate(context, who, slot),
    );
  if (has("pass")) steps.push(() => handOver(context, who, slot));
  if (has("cgroup") && random.chance(0.3)) steps.push(() => [`${who} cgroup ${random.pick(["a", "b", "c"])}`]);
  if (has("kill") && random.chance(0.2)) steps.push(() => [`${who} kill ${slot}`]);
  if (has("forge")) steps.push(() => [`${who} rst ${slot}`]);
  if (has("repair")) steps.push(() => [`${who} settle ${slot} 60`, `${who} repair ${slot}`]);
  return random.pick(steps)();
}

function duplicate({ slot, random }: Context, who: string, of: number): string[] {
  const copy = slot();
  return [`${who} dup ${of} ${copy}`, ...(random.chance(0.5) ? [`${who} close ${of}`] : [`${who} close ${copy}`])];
}

function handOver({ slot, random }: Context, who: string, of: number): string[] {
  const there = slot();
  return [
    `${who} give ${of}`,
    `c take ${there}`,
    ...(random.chance(0.5) ? [`${who} close ${of}`, `c send ${there} 109`] : [`c close ${there}`]),
  ];
}

/** Ways in which a connection ends; what is still open at the end of the program is closed there. */
export function ending(context: Context, client: number, server: number): string[] {
  const { random, has } = context;
  const ends = random.chance(0.5) ? [`a ${client}`, `b ${server}`] : [`b ${server}`, `a ${client}`];
  return ends.flatMap((end) => {
    const [who, slot] = end.split(" ");
    const ways: string[][] = [
      [`${who} close ${slot}`],
      [`${who} recv ${slot} 1000000 20`, `${who} close ${slot}`],
      [`${who} option ${slot} linger=0`, `${who} close ${slot}`],
      [`${who} settle ${slot} 60`, `${who} close ${slot}`],
      [],
    ];
    if (has("halfclose"))
      ways.push([`${who} shut ${slot} w`, `${who} recv ${slot} 1000000 20`, `${who} close ${slot}`]);
    if (has("halfclose"))
      ways.push([`${who} shut ${slot} w`, `${who} option ${slot} linger=0`, `${who} close ${slot}`]);
    if (has("reuse")) ways.push([`${who} unspec ${slot}`, `${who} close ${slot}`]);
    return random.pick(ways);
  });
}
