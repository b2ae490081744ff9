/**
 * Random programs. A program is a few lives, shuffled into each other: each life is one or a few connections on a port
 * of its own, with what befalls them. The same seed and features give the same program.
 *
 * Nothing here knows what is right: the oracle goes by what the calls answered.
 */
import { type Program, Random } from "./program.ts";

/** What programs may contain; a fault that is known and not mended yet keeps its feature off. */
export const FEATURES = [
  ...(["traffic", "refused", "abandoned", "backlog", "filter", "loss", "ports", "reuse", "relisten"] as const),
  ...(["halfclose", "fork", "pass", "cgroup", "reuseport", "mptcp", "fastopen", "kill", "forge", "repair"] as const),
  ...(["churn", "barrier"] as const),
] as const;
export type Feature = (typeof FEATURES)[number];

interface Context {
  readonly random: Random;
  readonly has: (feature: Feature) => boolean;
  /** Slots that no other life of this program uses; the same number in every puppet. */
  slot(): number;
  port(): number;
}

const FIRST_PORT = 8000;
const SIZES = [0, 1, 23, 1009, 4099, 20_011, 65_537, 200_003] as const;

export function generate(seed: number, features: ReadonlySet<Feature> = new Set(FEATURES)): Program {
  const random = new Random(seed);
  let slots = 0;
  let ports = FIRST_PORT;
  const context: Context = {
    random,
    has: (feature) => features.has(feature),
    slot: () => slots++,
    port: () => ports++,
  };
  const lives = Array.from({ length: random.between(1, 4) }, () => life(context));
  // What narrows the range of ports would make connections of other lives meet at the same two ends.
  const alone = lives.find((lines) => lines.some((line) => line.includes("ip_local_port_range")));
  const body = alone ?? shuffled(random, lives);
  const barrier = features.has("barrier") ? insert(random, body, ". barrier") : body;
  return [...machine(random), ...barrier];
}

/** Timers short enough that no program waits for long, and the device's size. */
function machine(random: Random): string[] {
  return [
    ". sysctl net/ipv4/tcp_fin_timeout 1",
    ". sysctl net/ipv4/tcp_orphan_retries 2",
    ". sysctl net/ipv4/tcp_retries2 4",
    ". sysctl net/ipv4/tcp_syn_retries 1",
    `. sysctl net/ipv4/tcp_rto_min_us ${random.pick([20_000, 40_000, 200_000])}`,
    ...(random.chance(0.4) ? [`. mtu ${random.pick([1500, 9000])}`] : []),
    ...(random.chance(0.1) ? [". sysctl net/ipv4/tcp_timestamps 0"] : []),
    ...(random.chance(0.1) ? [". sysctl net/ipv4/tcp_sack 0"] : []),
    ...(random.chance(0.1) ? [". sysctl net/ipv4/tcp_early_retrans 0"] : []),
  ];
}

/** The order within each life stays. */
function shuffled(random: Random, lives: readonly (readonly string[])[]): string[] {
  const left = lives.map((lines) => [...lines]);
  const program: string[] = [];
  for (;;) {
    const alive = left.filter((lines) => lines.length > 0);
    if (alive.length === 0) return program;
    const chosen = random.pick(alive);
    for (let run = random.between(1, 6); run > 0 && chosen.length > 0; run--) program.push(chosen.shift() as string);
  }
}

function insert(random: Random, lines: readonly string[], line: string): string[] {
  const at = random.between(0, lines.length);
  return [...lines.slice(0, at), line, ...lines.slice(at)];
}

type Life = (context: Context) => string[];

const LIVES: readonly (readonly [Feature, number, Life])[] = [
  ["traffic", 8, (context) => connection(context)],
  ["refused", 2, refused],
  ["abandoned", 2, abandoned],
  ["backlog", 2, backlog],
  ["filter", 2, filtered],
  ["loss", 2, lossy],
  ["ports", 1, exhausted],
  ["reuse", 2, reused],
  ["relisten", 1, relistened],
  ["reuseport", 1, sharedPort],
  ["mptcp", 1, (context) => connection(context, { mptcp: true })],
  ["fastopen", 1, fastOpen],
  ["churn", 1, () => [". churn"]],
];

function life(context: Context): string[] {
  const allowed = LIVES.filter(([feature]) => context.has(feature));
  let left = context.random.next() * allowed.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [, weight, make] of allowed) {
    left -= weight;
    if (left < 0) return make(context);
  }
  return connection(context);
}

interface Where {
  readonly family: "4" | "6";
  readonly listen: string;
  readonly listenFamily: "4" | "6";
  readonly to: string;
}

const PLACES: readonly Where[] = [
  { family: "4", listen: "127.0.0.1", listenFamily: "4", to: "127.0.0.1" },
  { family: "4", listen: "0.0.0.0", listenFamily: "4", to: "127.0.0.2" },
  { family: "4", listen: "::", listenFamily: "6", to: "127.0.0.3" },
  { family: "6", listen: "::1", listenFamily: "6", to: "::1" },
  { family: "6", listen: "::", listenFamily: "6", to: "::ffff:127.0.0.1" },
  { family: "6", listen: "127.0.0.2", listenFamily: "4", to: "::ffff:127.0.0.2" },
];

const CLIENT_OPTIONS = [
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

function options(random: Random, from: readonly string[]): string {
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
function connection(context: Context, { mptcp = false, place, after, bulk = false }: Shape = {}): string[] {
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

function listen(context: Context, slot: number, where: Where, port: number, depth: number, more = ""): string[] {
  return [
    `b sock ${slot} ${where.listenFamily}${more} reuse${options(context.random, SERVER_OPTIONS)}`,
    `b bind ${slot} ${where.listen} ${port}`,
    `b listen ${slot} ${depth}`,
  ];
}

/** What two connected ends do to each other. */
function traffic(context: Context, client: number, server: number, bulk: boolean): string[] {
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
function ending(context: Context, client: number, server: number): string[] {
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

/** Nobody listens there. */
function refused(context: Context): string[] {
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
function abandoned(context: Context): string[] {
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

/** More connects than the accept queue holds. */
function backlog(context: Context): string[] {
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

/** Rules that take or refuse packets, before or while it is open. */
function filtered(context: Context): string[] {
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
function lossy(context: Context): string[] {
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

/** A range of three local ports, and more connects than that. */
function exhausted(context: Context): string[] {
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

/** One socket, several connections after each other. */
function reused(context: Context): string[] {
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
function relistened(context: Context): string[] {
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

/** Two listeners of two groups on one port. */
function sharedPort(context: Context): string[] {
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
function fastOpen(context: Context): string[] {
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
