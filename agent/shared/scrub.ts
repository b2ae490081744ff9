/**
 * What this process knows and must never print: values of OTLP headers, passwords in addresses. Whatever leaves
 * through the log, stderr or doctor's report goes through a scrubber of them, also what a server echoed.
 */

const REDACTED = "[redacted]";
/** Shorter values are words that stand in ordinary text too. */
const MIN_LENGTH = 6;

/** Replaces each of `secrets` wherever it appears: as it is, without its scheme (`Bearer`), and as it stands in JSON. */
export function scrubberOf(secrets: readonly string[]): (text: string) => string {
  const spellings = [...new Set(secrets.flatMap(spellingsOf))].filter((text) => text.length >= MIN_LENGTH);
  // The longest first: what it holds must not be cut out of its middle.
  const hidden = spellings.sort((a, b) => b.length - a.length);
  return (text) => hidden.reduce((rest, secret) => rest.replaceAll(secret, REDACTED), text);
}

function spellingsOf(secret: string): string[] {
  const bare = secret.trim().replace(/^(bearer|basic)\s+/i, "");
  return [secret, bare].flatMap((text) => [text, JSON.stringify(text).slice(1, -1)]);
}

/** Secrets that the environment holds, also in variables that cannot be read. */
export function secretsIn(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(env).flatMap(([name, value = ""]) => [
    ...(/^OTEL_EXPORTER_OTLP_.*HEADERS$/.test(name) ? headerValues(value) : []),
    ...passwordsIn(value),
  ]);
}

function headerValues(text: string): string[] {
  return text.split(",").flatMap((pair) => {
    const value = pair.slice(pair.indexOf("=") + 1).trim();
    return [value, decoded(value)];
  });
}

/** Of `http://user:password@host`. */
function passwordsIn(text: string): string[] {
  const userinfo = /^[a-z][a-z0-9+.-]*:\/\/(.*)@/is.exec(text.trim())?.[1] ?? "";
  const colon = userinfo.indexOf(":");
  return colon < 0 ? [] : [userinfo.slice(colon + 1), decoded(userinfo.slice(colon + 1))];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no encoding: as it is
  }
}

let scrubAll: (text: string) => string = (text) => text;
let known: string[] = [];

/** Makes `scrub` hide these too, for as long as the process runs. */
export function hide(secrets: readonly string[]): void {
  known = [...known, ...secrets];
  scrubAll = scrubberOf(known);
}

/** For what is printed outside of the log. */
export function scrub(text: string): string {
  return scrubAll(text);
}
