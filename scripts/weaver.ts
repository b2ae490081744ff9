/**
 * OpenTelemetry's own tool (Weaver), where it is on this machine, over the model and over what running agents send.
 *
 *   node scripts/weaver.ts found   whether there is one: FLOWSPAN_WEAVER, or weaver on the path
 *   node scripts/weaver.ts check   weaver registry check: no error, and no warning about a file of the model
 *   node scripts/weaver.ts live    weaver registry live-check of the demo's agents for 15 s: no violation (root)
 *
 * It gets the released conventions from where the manifest says or, without that network, from the directory
 * FLOWSPAN_CONVENTIONS that holds their model/. semconv/ has the same rules for every machine; this is the second opinion.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LISTENS_WITHIN_MS = 60_000;

/** One of Weaver's diagnostics, as far as it is read here. */
interface Diagnostic {
  readonly diagnostic: { readonly message: string; readonly severity: string };
}

interface Advice {
  readonly level: string;
  readonly message: string;
  readonly signal_name?: string | null;
}

const [command = ""] = process.argv.slice(2);
const weaver = findWeaver();
if (command === "found") process.exitCode = weaver === undefined ? 1 : 0;
else if (command !== "check" && command !== "live") usage("check or live?");
else if (weaver === undefined) usage("there is no weaver on the path and FLOWSPAN_WEAVER names none");
else await withModel((model) => (command === "check" ? checkModel(weaver, model) : checkLive(weaver, model)));

function usage(why: string): void {
  process.stderr.write(`weaver: ${why}\nUsage: node scripts/weaver.ts found|check|live\n`);
  process.exitCode = 2;
}

function findWeaver(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const paths = env.FLOWSPAN_WEAVER
    ? [env.FLOWSPAN_WEAVER]
    : (env.PATH ?? "").split(delimiter).map((directory) => join(directory, "weaver"));
  return paths.find((path) => existsSync(path));
}

/** Says each complaint; with any the process ends with 1. */
async function withModel(check: (model: string) => Promise<readonly string[]>): Promise<void> {
  const model = mkdtempSync(join(tmpdir(), "flowspan-model-"));
  try {
    cpSync(join(ROOT, "semconv/model"), model, { recursive: true });
    const conventions = process.env.FLOWSPAN_CONVENTIONS;
    if (conventions) dependOn(join(model, "manifest.yaml"), join(conventions, "model"));
    const complaints = await check(model);
    for (const complaint of complaints) process.stderr.write(`weaver: ${complaint}\n`);
    if (complaints.length > 0) process.exitCode = 1;
  } finally {
    rmSync(model, { recursive: true });
  }
}

function dependOn(manifest: string, conventions: string): void {
  writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/registry_path: .*/, `registry_path: ${conventions}`));
}

async function checkModel(program: string, model: string): Promise<readonly string[]> {
  const format = ["--quiet", "--diagnostic-format", "json", "--diagnostic-stdout"];
  const child = spawn(program, ["registry", "check", "-r", model, ...format], { stdio: ["ignore", "pipe", "inherit"] });
  const [text, [code]] = await Promise.all([
    child.stdout.toArray().then((parts) => parts.join("")),
    once(child, "exit"),
  ]);
  const diagnostics = (JSON.parse(text || "[]") as Diagnostic[]).map(({ diagnostic }) => diagnostic);
  // What it says of the conventions' own files is theirs to mend.
  const ours = diagnostics.filter(({ severity, message }) => severity !== "Warning" || message.includes(model));
  if (code !== 0 && ours.length === 0) return [`ended with ${code}`];
  return ours.map(({ message }) => message);
}

async function checkLive(program: string, model: string): Promise<readonly string[]> {
  const [otlp, admin] = [await freePort(), await freePort()];
  const report = join(model, "report");
  const listen = ["--otlp-grpc-address", "127.0.0.1", "--otlp-grpc-port", `${otlp}`, "--admin-port", `${admin}`];
  const output = ["--quiet", "--format", "json", "--no-stream", "--output", report, "--inactivity-timeout", "120"];
  const live = ["registry", "live-check", "-r", model, "--include-unreferenced", ...listen, ...output];
  const child = spawn(program, live, { stdio: ["ignore", "ignore", "inherit"] });
  try {
    await listening(child, otlp);
    const env = { ...process.env, FLOWSPAN_COPY_TO: `http://127.0.0.1:${otlp}` };
    const demo = [
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      "test/lab/demo/demo.ts",
      "--seconds",
      "15",
    ];
    execFileSync("scripts/reachable", demo, { cwd: ROOT, env, stdio: ["ignore", "ignore", "inherit"] });
    const ended = once(child, "exit");
    await fetch(`http://127.0.0.1:${admin}/stop`, { method: "POST" });
    await ended;
  } finally {
    child.kill();
  }
  const { samples, statistics } = JSON.parse(readFileSync(join(report, "live_check.json"), "utf8"));
  process.stderr.write(
    `weaver: ${statistics.total_entities} entities: ${JSON.stringify(statistics.advice_level_counts)}\n`,
  );
  if (!(statistics.total_entities > 0)) return ["nothing came"];
  return [...new Set(violations(samples))];
}

/** Every violation below a sample: Weaver notes it at the part that it is of. */
function* violations(sample: unknown): Generator<string> {
  if (typeof sample !== "object" || sample === null) return;
  const { all_advice = [] } = sample as { readonly all_advice?: readonly Advice[] };
  for (const { level, message, signal_name } of all_advice) {
    if (level === "violation") yield `${signal_name ?? "a resource"}: ${message}`;
  }
  for (const part of Object.values(sample)) yield* violations(part);
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + LISTENS_WITHIN_MS;
  while (!(await isTaken(port))) {
    if (child.exitCode !== null) throw new Error(`weaver ended with ${child.exitCode}`);
    if (performance.now() > deadline) throw new Error(`weaver does not listen on port ${port}`);
    await delay(100);
  }
}

async function isTaken(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return false;
  } catch {
    return true;
  } finally {
    server.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
