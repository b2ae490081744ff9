/**
 * Paths under other people's hands: what a stranger (user 65534) prepares in a directory that root uses, the probe
 * refuses, and says what it found. Nothing of root's is removed, replaced or given away.
 *
 * Each script runs in a mount namespace of its own, with a bpffs at $B to which everybody may write: `mount -t bpf bpf DIR`
 * without a mode makes one.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { settingsFrom } from "../../agent/config/setting-rows.ts";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { isListening, makeOwnDirectory } from "../../agent/runtime/probe-process.ts";
import { eventually } from "../lab/programs/process.ts";
import { output, PROBE, run } from "../lab/programs/run.ts";
import { needs } from "../machine/needs.ts";

const test = needs("root", "btf", "build");
const STRANGER = 65534;
const AS_STRANGER = `setpriv --reuid=${STRANGER} --regid=${STRANGER} --clear-groups --inh-caps=-all --`;

let directory: string;
/** Each ends a process of the test. */
const running: (() => Promise<void>)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-paths-"));
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, "bpf"));
});
afterEach(async () => {
  for (const kill of running.splice(0)) await kill();
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a script; $B is the bpffs, $D the directory of this test. */
function play(script: string) {
  const whole = `mount -t bpf bpf "$B" && { ${script}; }`;
  const variables = [`B=${join(directory, "bpf")}`, `D=${directory}`];
  return output(["unshare", "--mount", "--propagation", "private", "--", "env", ...variables, "sh", "-c", whole]);
}

test("a pins directory that a stranger made is refused", async () => {
  const { code, stderr } = await play(
    `${AS_STRANGER} mkdir "$B/flowspan" && ${PROBE} --stdio --pins "$B/flowspan" </dev/null`,
  );

  expect(stderr).toContain(`bpf/flowspan belongs to user ${STRANGER}, who could replace what is in it: remove it`);
  expect(code).toBe(1);
});

test("so is one of root's to which others may write, and the command that mends it is told", async () => {
  const { code, stderr } = await play(
    `mkdir -m 1777 "$B/flowspan" && ${PROBE} --stdio --pins "$B/flowspan" </dev/null`,
  );

  expect(stderr).toContain("bpf/flowspan has mode 1777, so others could replace what is in it; run: chmod go-w ");
  expect(code).toBe(1);
});

test("a pins directory behind a stranger's link is refused", async () => {
  const { code, stderr } = await play(
    `mkdir "$B/other" && ${AS_STRANGER} ln -s "$B/other" "$B/flowspan" && ` +
      `${PROBE} --stdio --pins "$B/flowspan" </dev/null; code=$?; ls "$B/other"; exit $code`,
  );

  expect(stderr).toContain(`bpf/flowspan is a link that belongs to user ${STRANGER}`);
  expect(code).toBe(1);
});

test("--unpin removes nothing behind a stranger's link", async () => {
  mkdirSync(join(directory, "victim"));
  writeFileSync(join(directory, "victim/file"), "precious");

  const { code } = await play(
    `${AS_STRANGER} mkdir "$B/flowspan" && ${AS_STRANGER} ln -s "$D/victim" "$B/flowspan/v1" && ` +
      `${PROBE} --unpin --pins "$B/flowspan"`,
  );

  expect([code, existsSync(join(directory, "victim/file"))]).toEqual([1, true]);
});

test("a start removes nothing behind a link in the place of an older protocol's pins", async () => {
  mkdirSync(join(directory, "victim"));
  writeFileSync(join(directory, "victim/file"), "precious");

  const { stderr } = await play(
    `mkdir -m 0700 "$B/flowspan" && ln -s "$D/victim" "$B/flowspan/v1" && ` +
      `${PROBE} --stdio --pins "$B/flowspan" </dev/null; ls "$B/flowspan"`,
  );

  expect(stderr).toContain("started: generation 1");
  expect(existsSync(join(directory, "victim/file"))).toBe(true);
});

test("a stranger's socket is not put in place of the one that the probe made", async () => {
  const shared = join(directory, "shared");
  mkdirSync(shared);
  chmodSync(shared, 0o777); // as a pod's volume: the mode of the directory keeps nobody out
  const socket = join(shared, "probe.sock");
  const attack = `${AS_STRANGER} sh -c 'until [ -S "$0.new" ]; do sleep 0.01; done; ln -s /etc/passwd "$0.x"; mv -fT "$0.x" "$0.new"' ${socket}`;

  const { code, stderr } = await play(
    `${attack} & timeout 30 ${PROBE} --socket ${socket} --socket-uid ${STRANGER} --pins "$B/flowspan"`,
  );

  expect(stderr).toContain("probe.sock.new was removed or replaced while this probe started");
  expect([code, existsSync(socket), statSync("/etc/passwd").uid]).toEqual([1, false, 0]);
});

test("a file in the socket's place is refused and stays", async () => {
  const socket = join(directory, "probe.sock");
  writeFileSync(socket, "precious");

  const { code, stderr } = await play(`timeout 30 ${PROBE} --socket ${socket} --pins "$B/flowspan"`);

  expect(stderr).toContain(`${socket} is a file of user 0, and no socket: remove it, or choose another path`);
  expect([code, readFileSync(socket, "utf8")]).toEqual([1, "precious"]);
});

const settingsFor = (socket: string) => settingsFrom(new Map<string, unknown>([["probe.socket", socket]]));
const LISTEN = "require('node:net').createServer().listen(process.argv[1], () => console.log('listens'))";

test("a socket of that name in another mount namespace is no probe, beside what a dead one has left", async () => {
  const run = join(directory, "run");
  const socket = join(run, "probe.sock");
  mkdirSync(run);
  const left = listener([process.execPath, "-e", LISTEN, socket]);
  await left.listens;
  await expect(isListening(settingsFor(socket))).resolves.toBe(true);
  await left.kill();
  const script = `mount -t tmpfs tmpfs ${run} && exec "$0" "$@"`;
  const other = listener([
    ...["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script],
    ...[process.execPath, "-e", LISTEN, socket],
  ]);
  await other.listens;

  expect(readFileSync("/proc/net/unix", "utf8")).toContain(` ${socket}\n`);
  await expect(isListening(settingsFor(socket))).resolves.toBe(false);
});

test("a stranger's socket in the probe's place is refused", async () => {
  const shared = join(directory, "shared");
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  const socket = join(shared, "probe.sock");
  const stranger = listener([...AS_STRANGER.split(" "), process.execPath, "-e", LISTEN, socket]);
  await stranger.listens;

  await expect(isListening(settingsFor(socket))).rejects.toThrow(
    `${socket} belongs to user ${STRANGER}, so no probe of root's made it: remove it`,
  );
});

test("the admin socket's directory is not made behind a stranger's link, and nothing there is given away", async () => {
  const [victim, link] = [join(directory, "victim"), join(directory, "link")];
  mkdirSync(victim);
  await run(["ln", "-s", victim, link]);
  await run(["chown", "-h", `${STRANGER}:${STRANGER}`, link]);

  for (const socket of [join(link, "admin.sock"), join(link, "agent/admin.sock")])
    expect(() => makeOwnDirectory(socket, USER_AGENT)).toThrow(`${link} is a link that belongs to user ${STRANGER}`);
  makeOwnDirectory(join(directory, "agent/admin.sock"), USER_AGENT);

  expect([lstatSync(victim).uid, existsSync(join(victim, "agent"))]).toEqual([0, false]);
  expect(lstatSync(join(directory, "agent")).uid).toBe(USER_AGENT);
});

test("an admin socket's directory that is there already is used as it is, also where others may write to it", () => {
  const shared = join(directory, "shared");
  mkdirSync(shared);
  chmodSync(shared, 0o777);

  makeOwnDirectory(join(shared, "admin.sock"), USER_AGENT);

  makeOwnDirectory(join(shared, "agent/admin.sock"), USER_AGENT);

  const { uid, mode } = lstatSync(shared);
  expect([uid, mode & 0o7777]).toEqual([0, 0o777]);
  expect(lstatSync(join(shared, "agent")).uid).toBe(USER_AGENT);
});

test("so is one below a directory of somebody else's, where root would make none", async () => {
  const home = join(directory, "home");
  mkdirSync(join(home, "there"), { recursive: true });
  await run(["chown", "-R", `${STRANGER}:${STRANGER}`, home]);

  makeOwnDirectory(join(home, "there/admin.sock"), USER_AGENT);
  expect(() => makeOwnDirectory(join(home, "missing/admin.sock"), USER_AGENT)).toThrow(
    `${home} belongs to user ${STRANGER}, who could replace what is in it`,
  );

  expect([lstatSync(join(home, "there")).uid, existsSync(join(home, "missing"))]).toEqual([STRANGER, false]);
});

/** A process that says so once it listens. */
function listener(argv: readonly string[]) {
  const [file = "", ...args] = argv;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const end = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await end;
  };
  running.push(kill);
  return { listens: eventually("a process that listens", () => said.includes("listens"), 10_000), kill };
}
