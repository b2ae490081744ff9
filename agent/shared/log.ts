/**
 * The agent's own log: JSON lines on stderr, one a fact, with levels, through pino.
 *
 * No secret leaves through it. Fields whose name says that they hold one are replaced at any depth, and
 * the values of configured headers are replaced wherever they appear, also inside messages and stacks.
 * No peer can fill it: of each kind of line there are a few a minute at most (log-limit.ts).
 */
import { destination, type LogFn, type Logger, type LoggerOptions, pino } from "pino";
import { LogLimit } from "./log-limit.ts";
import { scrubberOf } from "./scrub.ts";

export type Log = Logger;
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

const REDACTED = "[redacted]";
const SECRET_NAME =
  /authorization|token|secret|password|passwd|api[-_]?key|cookie|^headers(_?list)?$|private[-_]?key|credential/i;
const DEPTH_MAX = 6;

export interface LogOptions {
  readonly level: LogLevel;
  /** Values that must not appear: those of OTLP headers. */
  readonly secrets?: readonly string[];
  /** Where lines go; stderr when left out. */
  readonly write?: (line: string) => void;
  /** A clock that only moves forward, milliseconds. */
  readonly nowMs?: () => number;
}

export function createLog({ level, secrets = [], write, nowMs = () => performance.now() }: LogOptions): Log {
  const scrub = scrubberOf(secrets);
  const stream = write === undefined ? destination({ fd: 2, sync: true }) : { write };
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redact(fields, 0) as Record<string, unknown>,
      },
      serializers: { error: errorFields, err: errorFields },
      hooks: { streamWrite: scrub, logMethod: limited(new LogLimit(), nowMs) },
    },
    stream,
  );
}

type LogMethod = NonNullable<NonNullable<LoggerOptions["hooks"]>["logMethod"]>;

/** Our lines are fields and a text. What was left out before this line becomes one of its fields. */
function limited(limit: LogLimit, nowMs: () => number): LogMethod {
  return function (this: Logger, args: Parameters<LogFn>, method: LogFn) {
    const [fields, text] = args as unknown as [object, unknown];
    const leftOut = limit.pass(String(text), nowMs());
    if (leftOut === undefined) return;
    method.apply(this, (leftOut === 0 ? args : [{ ...fields, leftOut }, text]) as Parameters<LogFn>);
  };
}

/** An error with a code was foreseen: its message says it all. Of any other the place counts too. */
function errorFields(error: unknown): unknown {
  const isForeseen = error instanceof Error && "code" in error && typeof error.code === "string";
  return isForeseen
    ? { type: error.name, message: error.message, code: error.code }
    : pino.stdSerializers.err(error as Error);
}

/**
 * A copy of `value` in which fields named like secrets say so instead. Also for what the admin socket
 * shows of the configuration.
 */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null || value instanceof Error) return value;
  if (depth > DEPTH_MAX) return "…";
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, isSecret(name, inner) ? REDACTED : redact(inner, depth + 1)]),
  );
}

/** An empty group hides nothing: saying "none" helps whoever reads it. */
function isSecret(name: string, value: unknown): boolean {
  if (!SECRET_NAME.test(name) || value === undefined || value === null || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
