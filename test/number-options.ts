/**
 * The command line of a generator of tests → whole numbers, by name. What is none, or is not known, ends the process
 * with a sentence, before anything ran.
 */
import { parseArgs } from "node:util";

export function numberOptions<Name extends string>(defaults: Readonly<Record<Name, number>>): Record<Name, number> {
  try {
    return parseNumbers(defaults, process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}

/** @throws Error that names the option */
export function parseNumbers<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
  args: readonly string[],
): Record<Name, number> {
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const { values } = parseArgs({ args: [...args], options });
  const numbers = names.map((name): [Name, number] => {
    const value = values[name] as string | undefined;
    if (value === undefined) return [name, defaults[name]];
    if (/^\d{1,15}$/.test(value)) return [name, Number(value)];
    throw new Error(`--${name} ${JSON.stringify(value)}: write a whole number`);
  });
  return Object.fromEntries(numbers) as Record<Name, number>;
}
