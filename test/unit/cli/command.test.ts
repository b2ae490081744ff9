/** Arguments, help and what belongs to starting up. */

import { describe, expect, test } from "vitest";
import { agentCommand } from "../../../agent/cli/agent.ts";
import { type Command, commandHelp, parseCommand, wantsColour } from "../../../agent/cli/command.ts";
import { directoryCommand } from "../../../agent/cli/directory.ts";
import { doctorCommand } from "../../../agent/cli/doctor/doctor.ts";
import { replayCommand } from "../../../agent/cli/replay/replay.ts";
import { topCommand } from "../../../agent/cli/top/top.ts";
import { versionCommand } from "../../../agent/cli/version.ts";
import { settingsFrom } from "../../../agent/config/setting-rows.ts";
import { USER_AGENT } from "../../../agent/generated/layout.ts";
import { prefixRulesOf } from "../../../agent/runtime/options.ts";
import { heldCapabilities } from "../../../agent/runtime/privileges.ts";
import { probeArguments } from "../../../agent/runtime/probe-process.ts";

const COMMANDS: [string, Command][] = [
  ...[agentCommand, topCommand, doctorCommand, directoryCommand, replayCommand, versionCommand],
].map((command) => [command.name, command]);

describe("a command line", () => {
  test("gives own flags, settings and positionals", () => {
    const parsed = parseCommand(replayCommand, ["--export", "file.rec", "--endpoint", "http://c:1"]);

    expect(parsed).toEqual({
      flags: { __proto__: null, export: true, endpoint: "http://c:1" },
      positionals: ["file.rec"],
    });
  });

  const WRONG: [string, Command, string[], string][] = [
    ["an unknown flag", agentCommand, ["--intervall", "1"], "unknown flag --intervall; did you mean --interval?"],
    ["an unknown flag like no other", agentCommand, ["--zzzzzz"], "unknown flag --zzzzzz"],
    ["a flag of another command", versionCommand, ["--record", "x"], "unknown flag --record"],
    ["a flag without its value", agentCommand, ["--record"], "Option '--record <value>' argument missing"],
    ["a missing argument", replayCommand, [], "FILE is missing"],
    ["an argument too many", versionCommand, ["now"], 'unexpected argument "now"'],
  ];

  test.each(WRONG)("with %s is refused", (_name, command, args, message) => {
    expect(() => parseCommand(command, args)).toThrow(new Error(message));
  });

  test("that asks for help needs nothing else", () => {
    expect(parseCommand(replayCommand, ["-h"]).flags.help).toBe(true);
  });
});

test.each(COMMANDS)(
  "the help of %s shows usage, every option, examples and exit codes, in 100 columns",
  (name, command) => {
    const help = commandHelp(command);

    expect(help).toMatch(new RegExp(`^Usage: flowspan ${name}`));
    for (const option of ["help", ...Object.keys(command.options)]) expect(help).toContain(`--${option}`);
    for (const [example] of command.examples) expect(help).toContain(example);
    expect(help).toContain("Exit code: 0 done, 1 failed, 2 wrong command line.");
    const described = help.split("\n").filter((line) => !command.examples.some(([example]) => line.includes(example)));
    expect(Math.max(...described.map((line) => line.length))).toBeLessThanOrEqual(112);
  },
);

test("colour is for terminals, and not where NO_COLOR or a dumb terminal asks for none", () => {
  const on = (isTTY: boolean, env: Record<string, string>) =>
    wantsColour({ env, stdout: { isTTY } as NodeJS.WriteStream });

  expect([
    on(true, {}),
    on(false, {}),
    on(true, { NO_COLOR: "1" }),
    on(true, { NO_COLOR: "" }),
    on(true, { TERM: "dumb" }),
  ]).toEqual([true, false, false, true, false]);
});

describe("privileges", () => {
  const status = (effective: string) =>
    `Name:\tnode\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t${effective}\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n`;

  test("a capability in any thread is found; the bounding set alone is none", () => {
    const clean = status("0000000000000000");

    expect(heldCapabilities([clean, clean])).toEqual([]);
    expect(heldCapabilities([clean, status("0000008000000000")])).toEqual(["CapEff 0000008000000000"]);
  });
});

describe("the probe that an agent starts", () => {
  test("is told what settings say", () => {
    const settings = settingsFrom(
      new Map<string, unknown>([
        ["probe.pins", "/sys/fs/bpf/flowspan-test"],
        ["probe.edges", 23],
        ["logLevel", "silent"],
      ]),
    );

    expect(probeArguments(settings)).toEqual([
      ...["--socket-gid", String(USER_AGENT), "--edges", "23", "--log-level", "error"],
      ...["--pins", "/sys/fs/bpf/flowspan-test"],
    ]);
  });

  test("keeps apart a prefix that is named in both lists, and before anything collapses", () => {
    const lists = new Map<string, unknown>([
      ["scopes.collapse", ["0.0.0.0/0", "10.0.0.0/8"]],
      ["scopes.keep", ["10.0.0.0/8"]],
    ]);

    expect(prefixRulesOf(settingsFrom(lists))).toEqual([
      { address: "10.0.0.0", prefixLength: 8, collapse: false },
      { address: "0.0.0.0", prefixLength: 0, collapse: true },
    ]);
  });
});
