/**
 * `flowspan version`: what runs here.
 */
import { FLOWSPAN_PROTOCOL } from "../generated/layout.ts";
import { SEMCONV_VERSION } from "../generated/semconv.ts";
import { VERSION } from "../shared/own-version.ts";
import { type Command, EXIT } from "./command.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "print the version",
  usage: "[--json]",
  about: "Prints the version, the protocol spoken with the probe, and the conventions that names come from.",
  examples: [["flowspan version --json", "for scripts"]],
  options: { json: { type: "boolean", summary: "Print JSON." } },
  settings: [],
  positionals: [],
  async run({ json }, _, { stdout }) {
    const facts = { version: VERSION, protocol: FLOWSPAN_PROTOCOL, semconv: SEMCONV_VERSION, node: process.version };
    if (json) stdout.write(`${JSON.stringify(facts)}\n`);
    else
      stdout.write(
        `flowspan ${facts.version} (protocol ${facts.protocol}, semconv ${facts.semconv}, node ${facts.node})\n`,
      );
    return EXIT.ok;
  },
};
