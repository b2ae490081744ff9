/**
 * Draws snapshots on the terminal until somebody has seen enough, and leaves the terminal as it was.
 */
import { pause } from "../../shared/pause.ts";
import { type Terminal, wantsColour } from "../command.ts";
import type { TopSnapshot } from "./finding-lines.ts";
import { topLines } from "./table.ts";

const REFRESH_MS = 1_000;

/** In raw mode the terminal sends it as a key. */
const CTRL_C = "\x03";
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/**
 * Until q, Ctrl-C or `stop`.
 *
 * @param read asks for the next snapshot; while that fails the last one stays, with the reason below it
 */
export async function drawEdges(
  first: TopSnapshot,
  read: () => Promise<TopSnapshot>,
  stop: AbortController,
  terminal: Terminal,
): Promise<void> {
  const { stdin, stdout } = terminal;
  let snapshot = first;
  let trouble = "";
  const onKey = (key: Buffer) => {
    if (["q", "Q", CTRL_C].some((wanted) => key.includes(wanted))) stop.abort();
  };
  const draw = () => {
    const size = { columns: stdout.columns, rows: stdout.rows - 1, colour: wantsColour(terminal) };
    const lines = topLines(snapshot, size).map((line) => `${line}\x1b[K\r\n`);
    const status = trouble === "" ? "q: quit" : trouble.slice(0, stdout.columns);
    stdout.write(`\x1b[H${lines.join("")}\x1b[J\x1b[${stdout.rows};1H${status}`);
  };

  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on("data", onKey);
  stdout.on("resize", draw);
  stdout.write(ENTER);
  try {
    while (!stop.signal.aborted) {
      draw();
      await pause(REFRESH_MS, stop.signal);
      try {
        snapshot = await read();
        trouble = "";
      } catch (error) {
        trouble = `the agent does not answer: ${(error as Error).message}`;
      }
    }
  } finally {
    stdout.write(LEAVE);
    stdout.off("resize", draw);
    stdin.off("data", onKey);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  }
}

/** One JSON object a line for each exchange, until `stop`. */
export async function streamEdges(
  first: TopSnapshot,
  read: () => Promise<TopSnapshot>,
  stop: AbortController,
  { stdout }: Terminal,
): Promise<void> {
  let last = -1;
  for (let snapshot = first; !stop.signal.aborted; snapshot = await read()) {
    if (snapshot.timeUnixMs !== last) stdout.write(`${JSON.stringify(snapshot)}\n`);
    last = snapshot.timeUnixMs;
    await pause(REFRESH_MS, stop.signal);
  }
}
