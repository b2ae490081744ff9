/**
 * Records test/golden/two-services.gz: what the real probe says of two services in a quiet net namespace.
 *
 * Run as root after `make -C bpf` when the protocol or a struct of bpf/contract/contract.h changed:
 *   node test/golden/record-two-services.ts
 * Tests replay the file without a kernel. Leaves no pin, cgroup or process behind.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Recorder } from "../../agent/recording/recorder.ts";
import { spawnProbe } from "../../agent/runtime/spawn-probe.ts";
import type { ErrorLogger } from "../../agent/shared/logger.ts";
import { ProbeClient } from "../../agent/source/probe-client.ts";
import { eventually } from "../lab/programs/process.ts";

const PROBE = fileURLToPath(new URL("../../build/flowspan-probe", import.meta.url));
const RECORDING = fileURLToPath(new URL("two-services.gz", import.meta.url));
/** Of this process alone: another one may record at the same time. Names in the recording begin below it. */
const NAME = `flowspan-golden-${process.pid}`;
const CGROUPS = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) => existsSync(join(path, "cgroup.procs")));
const PORT = 8080;

const log: ErrorLogger = {
  info: () => {},
  warn: (_, message) => console.error(message),
  error: (_, message) => console.error(message),
};

/** In the namespace: a server and a client, each in its own cgroup; a line with a number asks for connections. */
const WORKLOAD = `
  ip link set lo up
  (echo 0 > "$1/server.service/cgroup.procs"; exec "$2" -e "$3") &
  echo 0 > "$1/client.service/cgroup.procs"; exec "$2" -e "$4"
`;

const SERVER = `require("node:net").createServer((s) => s.resume().on("end", () => s.end("x".repeat(31)))).listen(${PORT})`;

const CLIENT = `
  const talk = (bytes) => new Promise((done, failed) => {
    const socket = require("node:net").connect(${PORT}, "127.0.0.1").resume();
    socket.on("error", failed).on("close", done).end("y".repeat(bytes));
  });
  const ready = () => talk(1).catch(() => new Promise((next) => setTimeout(next, 10)).then(ready));
  const run = async (count) => { for (let i = 0; i < count; i++) await talk(1000 + i); };
  ready().then(() => console.log("ready"));
  require("node:readline").createInterface({ input: process.stdin })
    .on("line", (count) => run(Number(count)).then(() => console.log("done")));
`;

async function main(): Promise<void> {
  if (CGROUPS === undefined) throw new Error("no cgroup v2 hierarchy is mounted");
  const cgroup = join(CGROUPS, NAME);
  const directory = mkdtempSync(join(tmpdir(), `${NAME}-`));
  const pins = join("/sys/fs/bpf", NAME);
  for (const name of ["server.service", "client.service"]) mkdirSync(join(cgroup, name), { recursive: true });
  const socket = join(directory, "probe.sock");
  const probe = spawnProbe({ program: PROBE, socket, args: ["--pins", pins, "--cgroup", cgroup, "--stay-root"], log });
  const recorder = new Recorder({ path: RECORDING, log });
  const client = new ProbeClient({ answerTimeoutMs: 60_000, path: socket, log, tap: recorder });
  await client.hello();
  const workload = spawn(
    "unshare",
    ["--net", "--pid", "--fork", "--kill-child", "sh", "-c", WORKLOAD, "sh", cgroup, process.execPath, SERVER, CLIENT],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  try {
    const lines = createInterface({ input: workload.stdout })[Symbol.asyncIterator]();
    await lines.next();
    await play(client, async (connections) => {
      workload.stdin.write(`${connections}\n`);
      await lines.next();
    });
  } finally {
    await client.close();
    await recorder.close();
    workload.kill("SIGKILL");
    await once(workload, "exit");
    await probe.close();
    execFileSync(PROBE, ["--unpin", "--pins", pins]);
    rmSync(directory, { recursive: true });
    for (const path of ["server.service", "client.service", ""]) rmdirSync(join(cgroup, path));
  }
}

/** Three exchanges: settled; not settled, and then the probe is killed; settled again. */
async function play(client: ProbeClient, connect: (connections: number) => Promise<void>): Promise<void> {
  const exchange = async () => (await client.exchange()).rows;
  client.settings({ idleNs: 60_000_000_000n, records: true });
  client.settle(await exchange());
  await client.flush();
  await connect(23);
  client.settle(await exchange());
  await client.flush();
  await connect(29);
  await exchange();
  const { probePid } = await client.hello();
  process.kill(probePid, "SIGKILL");
  await connect(31);
  await eventually("the next probe", async () => (await client.hello()).probePid !== probePid);
  client.settle(await exchange());
  await client.flush();
}

await main();
