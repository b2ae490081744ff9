/**
 * All that an agent reads is hostile at once: the probe's stream, the API server or the directory, the Collector's answers, and
 * connections to the health port. One process takes it all, one kind of the probe's frames after the other, and lives.
 */
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { type Answer, encodeAnswers, FOLLOW } from "../../../agent/directory/protocol.ts";
import { startAgent } from "../../hostile/agent-process.ts";
import { watchAnonymousMemory } from "../../hostile/anonymous-memory.ts";
import { FRAMES_OF, nextExchange, sendAll } from "../../hostile/probe-stream.ts";
import { ALLOWED_MIB } from "../../hostile/recordings.ts";
import { podObject } from "../../kubernetes/kubernetes-objects.ts";
import { freePorts } from "../../shared/free-ports.ts";
import { FakeProbe } from "../source/fake-probe.ts";

const MIB = 1024 * 1024;
const JUNK = Buffer.alloc(256 * 1024, "x");
const IDLE_CONNECTIONS = 1_500;

const EXCHANGES = 1;
/** Of each kind as many in an exchange as an agent takes of it beside the others. */
const PHASES = [
  ["edges", 32_768],
  ["evidence", 16_384],
  ["namespaces", 8_192],
  ["cgroups", 4_096],
] as const;

test.each(["watch", "directory"] as const)(
  "an agent whose inputs are all hostile, with names by %s, stays below 256 MiB",
  async (names) => {
    const said = { kube: 0, directory: 0, collector: 0, idle: 0 };
    const probe = await new FakeProbe().listen();
    onTestFinished(() => probe.close());
    for (const path of [join(probe.path, ".."), probe.path]) chmodSync(path, 0o777);
    const collector = `http://127.0.0.1:${await hostileCollector(said)}`;
    const [health = 0] = await freePorts(1);
    const agent = startAgent(
      [
        ...["--probe-socket", probe.path, "--node", "node-1", "--admin-address", `127.0.0.1:${health}`],
        ...(names === "watch" ? ["--endpoint", collector] : []),
        ...(await namesBy(names, said, collector)),
      ],
      { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_EXPORTER_OTLP_TIMEOUT: "1000" },
    );
    const anonymous = watchAnonymousMemory(agent);
    const connection = await probe.welcome({ edgeCapacity: 65_536 });
    let isOver = false;
    void connection.closed().then(() => {
      isOver = true;
    });
    const idle = keepIdle(health, said);

    const peaks: string[] = [];
    let exchange = 1n;
    for (const [kind, count] of PHASES) {
      for (let i = 0; i < EXCHANGES; i++, exchange++) {
        expect(await nextExchange(connection, () => isOver)).toBe("asked");
        await sendAll(connection, exchange, count, FRAMES_OF[kind], () => isOver);
      }
      peaks.push(`${kind} ${anonymous()}`);
    }
    expect(await nextExchange(connection, () => isOver)).toBe("asked");
    idle.stop();

    const resident = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${agent.pid}/status`, "utf8"))?.[1]) / 1024;
    console.log(
      `names by ${names}: ${anonymous()} MiB anonymous at most, ${Math.ceil(resident)} resident (VmHWM); most after ${peaks.join(", ")}; sent MiB and connections: ${JSON.stringify(said)}`,
    );
    expect(agent.exitCode).toBeNull();
    expect(said[names === "watch" ? "kube" : "directory"]).toBeGreaterThan(0);
    expect(said.collector).toBeGreaterThan(0);
    expect(said.idle).toBeGreaterThan(IDLE_CONNECTIONS);
    expect(anonymous()).toBeGreaterThan(20);
    expect(anonymous()).toBeLessThanOrEqual(ALLOWED_MIB);
  },
  300_000,
);

type Said = { kube: number; directory: number; collector: number; idle: number };

async function serve(answer: (path: string, response: ServerResponse) => Promise<unknown>): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    response.on("error", () => {});
    void answer(request.url ?? "", response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** What the attackers send leaves the machine some time for the agent. */
const PAUSE_MS = 250;

/** Writes for as long as the reader takes it. */
async function flood(response: ServerResponse, next: () => Buffer, count: (mib: number) => void): Promise<void> {
  while (!response.destroyed) {
    const chunk = next();
    count(chunk.length / MIB);
    response.write(chunk);
    do await delay(PAUSE_MS);
    while (response.writableNeedDrain && !response.destroyed);
  }
}

/** Each answer has no end. */
function hostileCollector(said: Said): Promise<number> {
  return serve((_path, response) => {
    response.writeHead(200, { "content-type": "application/x-protobuf" });
    return flood(
      response,
      () => JUNK,
      (mib) => {
        said.collector += mib;
      },
    );
  });
}

/** Large pods without end, each another one, and lines that are none. */
function hostileApiServer(said: Said): Promise<number> {
  let pods = 0;
  const next = () => {
    if (pods++ % 7 === 0) return JUNK;
    const annotations = { large: "x".repeat(MIB) };
    const object = podObject({ name: `pod-${pods}`, uid: `uid-${pods}`, annotations });
    return Buffer.from(`\n${JSON.stringify({ type: "ADDED", object })}\n`);
  };
  return serve((_path, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    return flood(response, next, (mib) => {
      said.kube += mib;
    });
  });
}

/** Owners without end for the addresses that were asked for. */
async function hostileDirectory(said: Said): Promise<number> {
  const server = new Server({ "grpc.max_send_message_length": -1 });
  const follow = (call: ServerDuplexStream<Buffer, Buffer>) => {
    call.on("data", () => {});
    call.on("error", () => {});
    let n = 0;
    const pump = async () => {
      while (!call.cancelled && !call.destroyed) {
        await delay(PAUSE_MS);
        const message = encodeAnswers({ answers: [ownersOf(`10.0.${(n >> 8) & 255}.${n & 255}`, n++ * 1_000)] });
        said.directory += message.length / MIB;
        if (!call.write(message)) return void call.once("drain", () => void pump());
      }
    };
    void pump();
  };
  server.addService({ follow: FOLLOW } as ServiceDefinition, { follow });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  onTestFinished(() => server.forceShutdown());
  return port;
}

function ownersOf(address: string, first: number): Answer {
  const pod = (i: number) => {
    const names = { name: `pod-${i}`, namespace: "shop", addresses: [address] };
    return { fromAgeMs: 5, pod: { uid: `uid-${i}`, ...names, createdUnixMs: 1 } };
  };
  return { key: { address, port: 80 }, intervals: Array.from({ length: 1_000 }, (_, i) => pod(first + i)) };
}

/** Arguments. Also with a directory, the own node's pods come from the API server. */
async function namesBy(names: "watch" | "directory", said: Said, collector: string): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-hostile-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const kubeconfig = join(directory, "kubeconfig");
  const server = `http://127.0.0.1:${await hostileApiServer(said)}`;
  const clusters = [{ name: "c", cluster: { server } }];
  const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }];
  const users = [{ name: "u", user: { token: "t" } }];
  writeFileSync(kubeconfig, JSON.stringify({ clusters, contexts, users, "current-context": "x" }));
  const kubernetes = ["--kubernetes", "on", "--kubeconfig", kubeconfig];
  if (names === "watch") return kubernetes;
  const config = join(directory, "flowspan.yaml");
  const replica = `127.0.0.1:${await hostileDirectory(said)}`;
  const flowspan = { directory: { insecure: true } };
  const exporter = { otlp_http: { endpoint: `${collector}/v1/metrics`, timeout: 1_000 } };
  const meter_provider = { readers: [{ periodic: { exporter } }] };
  writeFileSync(config, JSON.stringify({ file_format: "1.1", meter_provider, distribution: { flowspan } }));
  return [...kubernetes, "--metadata", "directory", "--directory", replica, "--config", config];
}

/** Opens connections to the health port that say half a request, without a rest. */
function keepIdle(port: number, said: Said): { stop(): void } {
  const sockets: Socket[] = [];
  const opening = setInterval(() => {
    for (let i = 0; i < 50 && sockets.length < 4 * IDLE_CONNECTIONS; i++) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.on("connect", () => {
        said.idle++;
        socket.write("GET /healthz HTTP/1.1\r\nx: ");
      });
      sockets.push(socket);
    }
  }, 50);
  const stop = () => {
    clearInterval(opening);
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(stop);
  return { stop };
}
