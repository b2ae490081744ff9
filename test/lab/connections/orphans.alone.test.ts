/**
 * Connections that the kernel resets because the machine has too many closed sockets (TCPAbortOnMemory): what both ends say.
 *
 * The limit is the whole machine's, and whoever closes a socket meanwhile is reset, too: no other file runs beside this one.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { NEEDS, useCallLab } from "../agents/call-lab.ts";
import { enterArguments } from "../programs/process.ts";
import { run } from "../programs/run.ts";

const test = needs(...NEEDS, "iptables", "expendable");
const calls = useCallLab(async (lab) => {
  await run(enterArguments(lab.pod("both").place, ["sysctl", "-qw", "net.ipv4.tcp_orphan_retries=1"]));
});

const ORPHANS = 5;
const PORT = 7489;

test("closed sockets that are too many for the machine (TCPAbortOnMemory): resets, as both ends say", async () => {
  const isFin = `-p tcp --dport ${PORT} --tcp-flags FIN FIN`;
  const remove = await calls().rule(`-t filter INPUT -i lo ${isFin} -j DROP`);
  const ends = Array.from({ length: ORPHANS }, (_, i) => [2 * i + 1, 2 * i + 2] as const);
  const restore = await limitOrphans(0);

  // The kernel counts them from time to time: then a close finds too many, or the timer that sends its FIN again.
  const told = await calls()
    .play(
      `listen 0 ${PORT}`,
      ends.flatMap(([client, server]) => [`connect ${client} ${PORT}`, `accept ${server} 0`]),
      ends.flatMap(([client]) => [`close ${client}`, "pause 0 100"]),
      ends.map(([, server]) => `state ${server} 7`),
    )
    .finally(restore);
  const outcomes = await calls().outcomes(PORT, 2 * ORPHANS);
  await remove();

  expect(told.failures).toEqual({});
  expect([told.tcpExt.TCPAbortOnMemory, told.tcpExt.TCPAbortOnTimeout]).toEqual([ORPHANS, 0]);
  expect(outcomes).toEqual([
    ...Array(ORPHANS).fill("client reset by local"),
    ...Array(ORPHANS).fill("server reset by remote"),
  ]);
  expect([resets("client"), resets("server")]).toEqual([
    [ORPHANS, 0],
    [0, ORPHANS],
  ]);
  expect(calls().tally.losses).toEqual({});
}, 30_000);

/** For the whole machine, until the result is called or this process is gone: then the shell's input ends. */
async function limitOrphans(most: number): Promise<() => Promise<void>> {
  const file = "/proc/sys/net/ipv4/tcp_max_orphans";
  const script = `before=$(cat ${file}); echo ${most} >${file}; echo set; read -r end; echo "$before" >${file}`;
  const shell = spawn("sh", ["-c", script], { stdio: ["pipe", "pipe", "inherit"] });
  await once(shell.stdout, "data");
  return async () => {
    shell.stdin.end();
    await once(shell, "close");
  };
}

function resets(role: "client" | "server") {
  const { resetSent, resetReceived } = calls().counters(PORT, role);
  return [resetSent, resetReceived];
}
