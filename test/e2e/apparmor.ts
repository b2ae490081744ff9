/**
 * deploy/apparmor as rules on paths, and what `strace -y` saw a container open: which accesses no rule allows, and which rules no
 * access needed. For rules on files alone; the kernel judges the rest where it has AppArmor.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const PROFILES = join(import.meta.dirname, "../../deploy/apparmor");

export interface Rule {
  readonly text: string;
  readonly path: RegExp;
  readonly modes: string;
  /** Not needed by each run; the profile says when. */
  readonly isRare: boolean;
}

export interface Access {
  readonly path: string;
  readonly mode: "r" | "w";
}

export function rulesOf(profile: string): Rule[] {
  const text = readFileSync(join(PROFILES, profile), "utf8");
  return [...text.matchAll(/^ {2}(\/\S*) ([a-z]+),(.*)$/gm)].map(([, glob, modes, rest]) => ({
    ...{ text: `${glob} ${modes}`, path: globOf(glob as string), modes: modes as string },
    isRare: /# rarely: \S/.test(rest as string),
  }));
}

/** As apparmor.d(5) has them: `**` crosses directories, `*` does not. A whole name that is one of them is not empty: `/a/*` is not `/a/`. */
function globOf(glob: string): RegExp {
  const tokens = glob.replaceAll("@{pid}", "[0-9]*").match(/\*\*|\*|\{|\}|,|\[[^\]]*\]|[^*{},[]+/g) ?? [];
  const meanings: Readonly<Record<string, string>> = { "**": ".*", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|" };
  const pattern = tokens.map((token, i) => {
    const isName = tokens[i - 1]?.endsWith("/") && /^(\/|$)/.test(tokens[i + 1] ?? "");
    if (isName && token === "*") return "[^/]+";
    if (isName && token === "**") return "[^/].*";
    if (token.startsWith("[")) return token === "[0-9]" ? "(?:[0-9]+|self|thread-self)" : token;
    return meanings[token] ?? token.replace(/[.+?^$()|\\]/g, "\\$&");
  });
  return new RegExp(
    `^${pattern.join("").replaceAll("(?:[0-9]+|self|thread-self)[^/]*", "(?:[0-9]+|self|thread-self)")}$`,
  );
}

/** What a trace says was opened, listed, looked at, pinned or bound, each once. Attempts that failed are none. */
export function accesses(trace: string): Access[] {
  const found = new Map<string, Access>();
  const add = (path: string, mode: Access["mode"]) => {
    if (path.startsWith("/") && !path.startsWith("/memfd:")) found.set(`${mode} ${path}`, { path, mode });
  };
  for (const [, flags, path] of trace.matchAll(
    /openat2?\([^\n]*?(O_(?:RDONLY|WRONLY|RDWR|PATH)\S*)[^\n]* = \d+<([^>\n]+)>/g,
  )) {
    if (flags?.includes("O_PATH")) continue; // a name, nothing that is read
    // As rules have it, the name of a directory ends with a slash.
    const name = flags?.includes("O_DIRECTORY") && !path?.endsWith("/") ? `${path}/` : (path as string);
    if (!flags?.startsWith("O_WRONLY")) add(name, "r");
    if (/O_WRONLY|O_RDWR|O_CREAT/.test(flags as string)) add(name, "w");
  }
  for (const [, path] of trace.matchAll(/ BPF_OBJ_PIN, \{pathname="([^"]+)"/g)) add(path as string, "w");
  for (const [, path] of trace.matchAll(/ BPF_OBJ_GET, \{pathname="([^"]+)"[^\n]* = \d+</g)) add(path as string, "r");
  for (const [, path] of trace.matchAll(/\b(?:bind|connect)\([^\n]*sun_path="([^"]+)"[^\n]* = 0$/gm))
    add(path as string, "w");
  return [...found.values()];
}

/** Accesses that no rule allows. */
export function refused(rules: readonly Rule[], seen: readonly Access[]): string[] {
  const allows =
    ({ path, mode }: Access) =>
    (rule: Rule) =>
      rule.modes.includes(mode) && rule.path.test(path);
  return seen.filter((access) => !rules.some(allows(access))).map(({ path, mode }) => `${mode} ${path}`);
}

/** Rules that no access needed, without those that are rare. */
export function unneeded(rules: readonly Rule[], seen: readonly Access[]): string[] {
  return rules
    .filter(({ isRare, path }) => !isRare && !seen.some((access) => path.test(access.path)))
    .map(({ text }) => text);
}
