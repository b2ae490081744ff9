/**
 * What every command has in common: its words for `--help`, its arguments, its exit codes.
 */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { FLAG_OPTIONS, FLAG_ROWS, flagsHelp, helpEntry } from "../config/flags.ts";
import { suggest } from "../config/problem.ts";

/** 0: done. 1: it failed. 2: the command line was wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** Where a command reads and writes; the process' own, or a test's. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** After `flowspan NAME`. */
  readonly usage: string;
  /** Sentences for `--help`. */
  readonly about: string;
  readonly examples: readonly (readonly [command: string, does: string])[];
  /** Flags of its own: type, then placeholder and words for `--help`. */
  readonly options: Readonly<Record<string, OwnOption>>;
  /** Names of settings' flags that it takes; `all` for every one. */
  readonly settings: "all" | readonly string[];
  /** Names of positional arguments, all required. */
  readonly positionals: readonly string[];
  /** @returns the exit code */
  run(flags: Flags, positionals: readonly string[], terminal: Terminal): Promise<number>;
}

export interface OwnOption {
  readonly type: "boolean" | "string";
  readonly placeholder?: string;
  readonly summary: string;
}

/** A wrong command line; the message ends in what to do. */
export class UsageError extends Error {}

/** The settings' flags that `command` takes. */
function settingOptions({ settings }: Command): ParseArgsOptionsConfig {
  if (settings === "all") return FLAG_OPTIONS;
  return Object.fromEntries(Object.entries(FLAG_OPTIONS).filter(([name]) => settings.includes(name)));
}

/** @throws UsageError */
export function parseCommand(command: Command, args: readonly string[]): { flags: Flags; positionals: string[] } {
  const own = Object.fromEntries(Object.entries(command.options).map(([name, { type }]) => [name, { type }]));
  const options: ParseArgsOptionsConfig = { help: { type: "boolean", short: "h" }, ...own, ...settingOptions(command) };
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(usageText(error as NodeJS.ErrnoException, Object.keys(options)));
  }
  const flags = parsed.values as Flags;
  if (flags.help) return { flags, positionals: [] };
  const { positionals } = parsed;
  const missing = command.positionals[positionals.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing`);
  const extra = positionals[command.positionals.length];
  if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
  return { flags, positionals };
}

function usageText(error: NodeJS.ErrnoException, known: readonly string[]): string {
  const name = /'--?([\w-]+)/.exec(error.message)?.[1];
  if (error.code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || name === undefined)
    return error.message.split("\n")[0] as string;
  const near = suggest(name, known);
  return `unknown flag --${name}${near === undefined ? "" : `; did you mean --${near}?`}`;
}

/** What `flowspan NAME --help` prints. */
export function commandHelp(command: Command): string {
  const rows =
    command.settings === "all"
      ? FLAG_ROWS
      : FLAG_ROWS.filter(({ field }) => command.settings.includes(field.flag as string));
  const own = Object.entries(command.options).map(([name, { placeholder, summary }]) =>
    helpEntry(`--${name}${placeholder === undefined ? "" : ` ${placeholder}`}`, summary),
  );
  const sections = [
    `Usage: flowspan ${command.name}${command.usage === "" ? "" : ` ${command.usage}`}`,
    command.about,
    ["Options:", ...own, helpEntry("-h, --help", "Print this.")].join("\n"),
    `Examples:\n${command.examples.map(([line, does]) => `  ${line}\n      ${does}`).join("\n")}`,
  ];
  if (command.settings === "all" || command.settings.includes("config")) {
    sections.push(`Settings (more in docs/configuration.md):\n${flagsHelp(rows)}`);
  } else if (rows.length > 0) {
    sections.push(
      `Settings:\n${rows.map(({ field }) => helpEntry(`--${field.flag} ${field.placeholder ?? ""}`.trim(), field.summary)).join("\n")}`,
    );
  }
  sections.push("Exit code: 0 done, 1 failed, 2 wrong command line.");
  return `${sections.join("\n\n")}\n`;
}

/** Colour only for people: on a terminal, and not where NO_COLOR asks for none. */
export function wantsColour({ env, stdout }: Pick<Terminal, "env" | "stdout">): boolean {
  return stdout.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}
