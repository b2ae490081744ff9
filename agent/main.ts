/**
 * flowspan's command line: the first word names a command, which is loaded only then.
 */
import { type Command, commandHelp, EXIT, parseCommand, type Terminal, UsageError } from "./cli/command.ts";
import { ConfigError, suggest } from "./config/problem.ts";
import { VERSION } from "./shared/own-version.ts";
import { hide, scrub, secretsIn } from "./shared/scrub.ts";

const COMMANDS: readonly [name: string, summary: string, load: () => Promise<Command>][] = [
  [
    "agent",
    "read the kernel's books and export them as OpenTelemetry metrics",
    async () => (await import("./cli/agent.ts")).agentCommand,
  ],
  ["top", "show who talks to whom, live", async () => (await import("./cli/top/top.ts")).topCommand],
  [
    "doctor",
    "say what works here, what is lost without the rest, and how to mend it",
    async () => (await import("./cli/doctor/doctor.ts")).doctorCommand,
  ],
  [
    "directory",
    "answer agents who their peers are, from one watch of the cluster",
    async () => (await import("./cli/directory.ts")).directoryCommand,
  ],
  [
    "replay",
    "run a recording through the whole pipeline again",
    async () => (await import("./cli/replay/replay.ts")).replayCommand,
  ],
  ["version", "print the version", async () => (await import("./cli/version.ts")).versionCommand],
];

function mainHelp(): string {
  return `Usage: flowspan COMMAND [OPTIONS]

flowspan ${VERSION}: network telemetry from the books the kernel keeps.

Commands:
${COMMANDS.map(([name, summary]) => `  ${name.padEnd(10)}${summary}`).join("\n")}

Examples:
  sudo flowspan agent
      this machine's connections, to the Collector on localhost:4317
  sudo flowspan top
      the same in the terminal
  flowspan COMMAND --help
      every option, with examples
`;
}

/** @returns the exit code */
async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const out = name === undefined ? terminal.stderr : terminal.stdout;
    out.write(mainHelp());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  const wanted = name === "--version" || name === "-V" ? "version" : name;
  const entry = COMMANDS.find(([known]) => known === wanted);
  if (entry === undefined) {
    const near = suggest(
      name,
      COMMANDS.map(([known]) => known),
    );
    const hint = near === undefined ? "see flowspan --help" : `did you mean ${near}?`;
    terminal.stderr.write(`flowspan: unknown command ${JSON.stringify(name)}; ${hint}\n`);
    return EXIT.usage;
  }
  const command = await entry[2]();
  const complain = (message: string) => terminal.stderr.write(scrub(`flowspan ${command.name}: ${message}\n`));
  try {
    const { flags, positionals } = parseCommand(command, rest);
    if (flags.help) {
      terminal.stdout.write(commandHelp(command));
      return EXIT.ok;
    }
    return await command.run(flags, positionals, terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`${error.message}; see flowspan ${command.name} --help`);
      return EXIT.usage;
    }
    complain((error as Error).message);
    return error instanceof ConfigError ? EXIT.usage : EXIT.failed;
  }
}

const { env, stdin, stdout, stderr } = process;
hide(secretsIn(env));
// Node prints an error with all that it holds. What nobody foresaw is a fault of ours: it is printed with its place.
process.on("uncaughtException", (error) => {
  stderr.write(scrub(`flowspan: a fault of flowspan itself, please report it:\n${error?.stack ?? String(error)}\n`));
  process.exit(EXIT.failed);
});
// Node's warnings are for whoever writes programs; they would stand among the log's lines.
process.removeAllListeners("warning");
// `flowspan top --once | head`: whoever reads has seen enough.
stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.ok);
});
process.exitCode = await main(process.argv.slice(2), { env, stdin, stdout, stderr });
