/** The admin socket over a real Unix socket and loopback TCP. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askAgent } from "../../../agent/telemetry/admin-client.ts";
import { type Admin, startAdmin } from "../../../agent/telemetry/admin-server.ts";
import type { Vitals } from "../../../agent/telemetry/health.ts";

const HEALTHY: Vitals = {
  nowMs: 10,
  startedMs: 0,
  lastTurnMs: 10,
  lastExchangeMs: 10,
  intervalMs: 1000,
  trouble: undefined,
  metadata: [],
};

let directory: string;
let socket: string;
let admin: Admin | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-admin-"));
  socket = join(directory, "agent", "admin.sock");
});
afterEach(async () => {
  await admin?.close();
  admin = undefined;
  rmSync(directory, { recursive: true });
});

async function start(vitals = HEALTHY, address?: string): Promise<Admin> {
  const answers = { vitals: () => vitals, edges: () => ({ edges: [23n] }), status: () => ({ version: "1" }) };
  admin = await startAdmin({ socket, address, answers });
  return admin;
}

/** What an agent leaves that is killed: a socket that nobody listens on. */
async function leaveSocket(path: string): Promise<void> {
  const script =
    "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  await once(spawn(process.execPath, ["-e", script, path]), "exit");
  expect(statSync(path).isSocket()).toBe(true);
}

test("edges, status and health are answered, numbers past 2^53 as text", async () => {
  await start();

  const answers = await Promise.all(
    ["/edges", "/status?x=1", "/healthz", "/readyz"].map((path) => askAgent(socket, path)),
  );

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(answers.slice(0, 2).map(({ body }) => body)).toEqual([{ edges: ["23"] }, { version: "1" }]);
});

test("an agent that is not ready says so with 503 and the reason", async () => {
  await start({ ...HEALTHY, trouble: "no probe" });

  const { status, body } = await askAgent(socket, "/readyz");

  expect([status, body]).toEqual([503, expect.objectContaining({ ok: false })]);
});

test("an unknown path is refused with the known ones", async () => {
  await start();

  expect(await askAgent(socket, "/")).toEqual({
    status: 404,
    body: { error: "try /healthz, /readyz, /status or /edges" },
  });
});

test("over TCP health is shown and nothing else", async () => {
  const { port } = await start(HEALTHY, "127.0.0.1:0");

  const paths = ["healthz", "readyz", "status", "edges"].map((path) => fetch(`http://127.0.0.1:${port}/${path}`));
  const answers = await Promise.all(paths);

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 403, 403]);
  expect(await answers[2]?.json()).toEqual({ error: "/status is shown on the Unix socket only" });
});

test("nothing can be changed through it", async () => {
  const { port } = await start(HEALTHY, "127.0.0.1:0");

  const { status } = await fetch(`http://127.0.0.1:${port}/status`, { method: "POST", body: "x" });

  expect(status).toBe(405);
});

test("only owner and group may use the socket, and it is gone at the end", async () => {
  await start();
  const mode = statSync(socket).mode & 0o777;
  await admin?.close();
  admin = undefined;

  expect(mode).toBe(0o660);
  await expect(askAgent(socket, "/status")).rejects.toMatchObject({ code: "ENOENT" });
});

test("a second agent on the same socket is refused; what a dead one left is not in the way", async () => {
  await start();
  const first = admin;
  await expect(start()).rejects.toThrow(`another agent answers on ${socket}: stop it, or choose another admin.socket`);
  await first?.close();
  await leaveSocket(socket);

  await start();

  expect((await askAgent(socket, "/healthz")).status).toBe(200);
});

test("a file or a link in the socket's place is refused and stays", async () => {
  mkdirSync(dirname(socket));
  writeFileSync(socket, "precious");

  await expect(start()).rejects.toThrow(
    `${socket} is a file, and no socket: remove it, or choose another admin.socket`,
  );

  expect(readFileSync(socket, "utf8")).toBe("precious");
});

test.each([
  ["a link leads nowhere", () => join(directory, "nowhere/agent/admin.sock"), "mkdir: ENOENT"],
  ["a file is in the way of one", () => "/etc/hostname/agent/admin.sock", "mkdir: ENOTDIR"],
  ["the path is longer than a socket's may be", () => join(directory, "a".repeat(120), "admin.sock"), "listen: EINVAL"],
])("where %s the error says what to do", async (_, place, why) => {
  socket = place();
  symlinkSync("/nowhere", join(directory, "nowhere"));

  await expect(start()).rejects.toThrow(
    `${socket} cannot be made (${why}): make the directory ${dirname(socket)} for the agent's user, or choose another admin.socket`,
  );
});
