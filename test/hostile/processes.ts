/**
 * The same situations given to real processes: each command of flowspan with a file, variables and flags, against a
 * probe that answers and a Collector that repeats the credentials it was sent.
 *
 * No BPF program is loaded: the probe's program is one that does not exist.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { FrameKind } from "../../agent/generated/layout.ts";
import { startFakeHttpCollector } from "../unit/otlp/fake-http-collector.ts";
import { FakeProbe } from "../unit/source/fake-probe.ts";
import { exchangeFrames, settledFrame } from "../unit/source/frames-builder.ts";
import type { FixtureFiles } from "./fixtures.ts";
import { type Situation, situations } from "./situations.ts";

const MAIN = fileURLToPath(new URL("../../agent/main.ts", import.meta.url));
const RECORDING = fileURLToPath(new URL("../golden/two-services.gz", import.meta.url));

export interface Run extends Situation {
  readonly args: readonly string[];
}

const COMMANDS: readonly (readonly string[])[] = [
  ...[["agent"], ["agent"], ["agent"], ["doctor"], ["doctor", "--json"], ["directory"], ["top", "--once"]],
  ...[
    ["replay", RECORDING],
    ["replay", RECORDING, "--export"],
    ["replay", "/nowhere/file"],
    ["agent", "--help"],
  ],
];

/** Flags by their command: another's would only be refused. */
const TAKES: Readonly<Record<string, readonly string[] | undefined>> = {
  directory: ["listen", "kubeconfig", "admin-address", "endpoint", "interval", "log-level"],
  replay: ["endpoint", "flows", "peer-pod", "peer-address", "log-level"],
  top: ["interval", "kubernetes", "kubeconfig", "node", "scope", "user"],
};

export function runs(fixtures: FixtureFiles): fc.Arbitrary<Run> {
  const stray = fc.oneof(
    { weight: 20, arbitrary: fc.constant<string[]>([]) },
    fc.constantFrom(["--unknown"], ["stray"], ["--interval"], ["--peer-pod=x"], ["-x"]),
  );
  return fc
    .tuple(situations(fixtures.paths), fc.constantFrom(...COMMANDS), stray)
    .map(([situation, command, more]) => ({
      ...situation,
      args: [...command, ...more],
    }));
}

export interface World extends AsyncDisposable {
  /** @returns each fault in a line; none where all is well */
  judge(run: Run): Promise<string[]>;
}

/** @param fixtures files that settings name; what they hold must not be printed either */
export async function startWorld(fixtures: FixtureFiles): Promise<World> {
  const probe = await new FakeProbe().listen();
  chmodSync(join(probe.path, ".."), 0o755);
  chmodSync(probe.path, 0o777);
  void answerForEver(probe);
  const grpc = await startEcho();
  const http = await startFakeHttpCollector([
    (response) => response.writeHead(401).end(`not let in: ${JSON.stringify(response.req.headers)}`),
  ]);
  const endpoints = { grpc: grpc.port, "http/protobuf": http.port };
  chmodSync(fixtures.directory, 0o755);
  return {
    judge: (run) => judgeProcess(run, { probe: probe.path, endpoints, fixtures }),
    async [Symbol.asyncDispose]() {
      grpc.server.forceShutdown();
      await http[Symbol.asyncDispose]();
      await probe.close();
    },
  };
}

async function answerForEver(probe: FakeProbe): Promise<never> {
  for (;;) {
    const agent = await probe.welcome();
    void (async () => {
      for (let rows = 0; ; ) {
        const { kind } = await agent.commandFrame();
        if (kind === FrameKind.COMMAND_EXCHANGE)
          agent.send(...exchangeFrames({ edges: [{ counters: { bytesSent: 23n } }] }));
        else if (kind === FrameKind.COMMAND_SETTLE) rows++;
        else if (kind === FrameKind.COMMAND_FLUSH) {
          agent.send(settledFrame({ rows }));
          rows = 0;
        }
      }
    })();
  }
}

/** Refuses everybody, with the words that they proved themselves with. */
async function startEcho(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = new Server();
  const same = (bytes: Buffer) => bytes;
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  for (const service of ["metrics.v1.MetricsService", "trace.v1.TraceService"]) {
    const path = `/opentelemetry.proto.collector.${service}/Export`;
    server.addService(
      { export: { path, requestStream: false, responseStream: false, ...codec } },
      {
        export(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
          done({ code: status.UNAUTHENTICATED, details: `not let in: ${JSON.stringify(call.metadata.getMap())}` });
        },
      },
    );
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { server, port };
}

interface Heard {
  readonly said: string;
  readonly code: number | null;
  readonly signal: string | null;
}

interface Surroundings {
  readonly probe: string;
  /** Ports of the Collectors that repeat what they were sent. */
  readonly endpoints: { readonly grpc: number; readonly "http/protobuf": number };
  readonly fixtures: FixtureFiles;
}

const START_MS = 10_000;
const RUN_MS = 1_200;
const END_MS = 30_000;

async function judgeProcess(run: Run, { probe, endpoints, fixtures }: Surroundings): Promise<string[]> {
  const { secret, file, env, flags, args } = run;
  const directory = mkdtempSync(join(fixtures.directory, "run-"));
  chmodSync(directory, 0o777);
  const admin = join(directory, "admin.sock");
  const config = join(directory, "flowspan.yaml");
  if (file !== undefined) writeFileSync(config, file);
  const [command = ""] = args;
  const port = endpoints[env.OTEL_EXPORTER_OTLP_PROTOCOL === "http/protobuf" ? "http/protobuf" : "grpc"];
  const own = { "admin-socket": admin, "probe-socket": probe, probe: "/nowhere/flowspan-probe" };
  const taken = Object.entries<string | boolean>({
    ...flags,
    ...(command === "agent" || command === "doctor" ? own : {}),
  }).filter(([name]) => TAKES[command]?.includes(name) ?? true);
  const top = command === "top" ? ["--admin-socket", admin, "--probe", "/nowhere/flowspan-probe"] : [];
  const given = taken.map(([name, value]) => (value === true ? `--${name}` : `--${name}=${value}`));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args, ...given, ...top], {
    env: {
      ...{ PATH: process.env.PATH, HOME: directory, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, ...env },
      ...(file === undefined ? {} : { OTEL_CONFIG_FILE: config }),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    const { said, code, signal } = await hear(child, admin);
    return faultsOf(said, code, signal, command).concat(
      [secret, fixtures.secret].filter((hidden) => said.includes(hidden)).map(() => `printed a secret: ${said}`),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Lets it run for a while, asks it what it shows, and ends it. */
async function hear(child: ChildProcess, admin: string): Promise<Heard> {
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  let isOver = false;
  const end = once(child, "close").then(() => {
    isOver = true;
  });
  const killer = setTimeout(() => child.kill("SIGKILL"), END_MS);
  const startMs = performance.now();
  // Before its first word, or an agent's socket, it may not have heard of signals yet.
  while (!isOver && !existsSync(admin) && said === "" && performance.now() - startMs < START_MS) await delay(20);
  await Promise.race([end, delay(RUN_MS)]);
  if (!isOver && existsSync(admin)) for (const path of ["/status", "/readyz"]) said += await shown(admin, path);
  if (!isOver) child.kill("SIGTERM");
  await end;
  clearTimeout(killer);
  return { said, code: child.exitCode, signal: child.signalCode };
}

function shown(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve) => {
    request({ socketPath, path }, async (answer) => {
      let body = "";
      for await (const chunk of answer) body += chunk;
      resolve(body);
    })
      .on("error", () => resolve("")) // it has ended meanwhile
      .end();
  });
}

function faultsOf(said: string, code: number | null, signal: string | null, command: string): string[] {
  const faults: string[] = [];
  // A command that has not begun, or has no end of its own, may be ended by the signal itself.
  const hasBegun = /"msg":"flowspan (agent|directory)"/.test(said);
  if (signal !== null && (signal !== "SIGTERM" || hasBegun)) faults.push(`ended by ${signal}: ${said}`);
  if (code !== null && ![0, 1, 2].includes(code)) faults.push(`exit code ${code}: ${said}`);
  if (/^\s+at \S+.*[:(]/m.test(said) || /"stack":/.test(said)) faults.push(`a stack trace: ${said}`);
  if (/\(node:\d+\)|^E /m.test(said)) faults.push(`a line of a dependency: ${said}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(said)) faults.push(`a control character: ${JSON.stringify(said)}`);
  const explains = code === 2 ? /found: {3}\S|see flowspan \w+ --help/ : /\S/;
  if (code !== 0 && code !== null && !explains.test(said))
    faults.push(`exit code ${code} of ${command} without a word: ${said}`);
  return faults;
}
