/**
 * `flowspan top`: live edges in the terminal, from the agent that runs here, or from a private one.
 */

import { loadConfig } from "../../config/load.ts";
import { isRoot } from "../../runtime/privileges.ts";
import { pause } from "../../shared/pause.ts";
import { askAgent } from "../../telemetry/admin-client.ts";
import { type Command, EXIT, type Flags, type Terminal, UsageError, wantsColour } from "../command.ts";
import type { TopSnapshot } from "./finding-lines.ts";
import { type PrivateAgent, startPrivateAgent } from "./private-agent.ts";
import { drawEdges, streamEdges } from "./screen.ts";
import { topLines } from "./table.ts";

export const topCommand: Command = {
  name: "top",
  summary: "show who talks to whom, live",
  usage: "[--once] [--json] [SETTINGS]",
  about: [
    "Shows every live edge: both ends, role, port, rates, round trips, retransmits (S SYN, F fast, T timeout,",
    "P tail loss probe, ? unknown), failures. Above them: what is wrong, where, since when, its likely cause and the",
    "command that shows more. Asks the agent that runs here; as root without one, it counts by itself",
    "for as long as it runs. Keys: q quits.",
  ].join("\n"),
  examples: [
    ["sudo flowspan top", "until q is pressed"],
    ["sudo flowspan top --once", "one table, every edge"],
    ["sudo flowspan top --once --json | jq '.edges[] | select(.failed.refused > 0)'", "which connections were refused"],
  ],
  options: {
    once: { type: "boolean", summary: "Print once and end; also where stdout is no terminal." },
    json: { type: "boolean", summary: "Print JSON: one object with --once, one object a line without." },
    wait: {
      type: "string",
      placeholder: "MS",
      summary: "How long to count before printing once, without an agent (default: 3000).",
    },
  },
  settings: [
    "config",
    "admin-socket",
    "interval",
    "probe",
    "cgroup",
    "kubernetes",
    "kubeconfig",
    "node",
    "scope",
    "user",
  ],
  positionals: [],
  run: (flags, _, terminal) => top(flags, terminal),
};

const INTERVAL_MS = 1_000;
const START_MS = 30_000;

async function top(flags: Flags, terminal: Terminal): Promise<number> {
  const waitMs = flags.wait === undefined ? 3_000 : Number(flags.wait);
  if (!Number.isInteger(waitMs) || waitMs < 0) throw new UsageError("--wait takes whole milliseconds");
  const { settings } = loadConfig({ env: terminal.env, flags });
  const { socket } = settings.admin;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());

  const asked = await askSnapshot(socket);
  if ("snapshot" in asked) return show(socket, asked.snapshot, stop, flags, terminal);
  if (!isRoot())
    throw new Error(`${asked.none}: run it as root (sudo flowspan top), or name the agent's --admin-socket`);

  const intervalMs = flags.interval === undefined ? INTERVAL_MS : settings.interval;
  const agent = startPrivateAgent(settings, flags, terminal.env, intervalMs);
  try {
    const first = await firstSnapshot(agent, showsOnce(flags, terminal) ? waitMs : 0, stop.signal);
    return first === undefined ? EXIT.ok : await show(agent.socket, first, stop, flags, terminal);
  } finally {
    const left = await agent.stop();
    if (left !== undefined) terminal.stderr.write(`flowspan top: ${left}\n`);
  }
}

function showsOnce(flags: Flags, { stdout }: Terminal): boolean {
  return flags.once === true || (flags.json !== true && stdout.isTTY !== true);
}

async function show(
  socket: string,
  first: TopSnapshot,
  stop: AbortController,
  flags: Flags,
  terminal: Terminal,
): Promise<number> {
  const { stdout } = terminal;
  const read = () => readSnapshot(socket);
  if (!showsOnce(flags, terminal)) {
    await (flags.json ? streamEdges(first, read, stop, terminal) : drawEdges(first, read, stop, terminal));
  } else if (flags.json) {
    stdout.write(`${JSON.stringify(first)}\n`);
  } else {
    const size = { columns: stdout.columns ?? 160, rows: undefined, colour: wantsColour(terminal) };
    stdout.write(`${topLines(first, size).join("\n")}\n`);
  }
  return EXIT.ok;
}

/** The edges of the agent on `socket`, or why nobody gives any. */
async function askSnapshot(socket: string): Promise<{ readonly snapshot: TopSnapshot } | { readonly none: string }> {
  try {
    return { snapshot: await readSnapshot(socket) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ECONNREFUSED") return { none: `no agent answers on ${socket}` };
    if (code === "EACCES") return { none: `this user may not ask the agent on ${socket}` };
    throw error;
  }
}

async function readSnapshot(socket: string): Promise<TopSnapshot> {
  const { status, body } = await askAgent(socket, "/edges");
  if (status !== 200) throw new Error(`the agent on ${socket} answered ${status}: is it another version?`);
  return body as TopSnapshot;
}

/** The private agent's first snapshot after it has counted for `waitMs`; undefined when stopped before. */
async function firstSnapshot(agent: PrivateAgent, waitMs: number, stop: AbortSignal): Promise<TopSnapshot | undefined> {
  const startedMs = performance.now();
  let answeredMs: number | undefined;
  while (!stop.aborted) {
    const failure = agent.failure();
    if (failure !== undefined) throw new Error(`its own agent could not run:\n${failure}`);
    const asked = await askSnapshot(agent.socket);
    const nowMs = performance.now();
    if ("snapshot" in asked && asked.snapshot.timeUnixMs > 0) {
      answeredMs ??= nowMs;
      if (nowMs - answeredMs >= waitMs) return asked.snapshot;
    } else if (nowMs - startedMs > START_MS) {
      throw new Error(`its own agent did not answer within ${START_MS} ms`);
    }
    await pause(50, stop);
  }
  return undefined;
}
