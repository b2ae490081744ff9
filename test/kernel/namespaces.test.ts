/**
 * Whose books are read: a net namespace is a thread's, not its process's, and its inode number is given out again.
 *
 *   one process on pod-1: its first thread ── lo ── 7 connections · a second one, in pod-2's namespace: 23
 */
import { statSync } from "node:fs";
import { afterEach, beforeEach, expect } from "vitest";
import type { NamespaceCounters } from "../../agent/model/probe-event.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { program, run } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
// Primes, so that one thread's number cannot pass for the other's.
const FIRST = 7;
const SECOND = 23;

let lab: Lab;
let tally: Tally;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "first" }, { key: "second" }] }));
  tally = await Tally.start(lab, "node-1");
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

test("a thread in another net namespace than its process is compared with that namespace's books", async () => {
  const { netns } = lab.pod("second").place;
  const argv = [program("strays"), "thread", netns, "7941", String(FIRST), String(SECOND)];
  const strays = lab.pod("first").spawn(argv);
  await said(strays, "ready");
  await tally.take();
  const before = { first: booksOf("first"), second: booksOf("second") };

  strays.command("go");
  await said(strays, "done");
  await tally.until(
    () => "all of them closed",
    () => tally.sum(({ role }) => role !== "listener").closed === 2 * (FIRST + SECOND),
  );

  const opens = (pod: "first" | "second") => booksOf(pod).activeOpens - before[pod].activeOpens;
  expect({ first: opens("first"), second: opens("second") }).toEqual({ first: FIRST, second: SECOND });
  expect({ first: counted("first"), second: counted("second") }).toEqual({ first: FIRST, second: SECOND });
  expect(tally.losses).toEqual({});
});

test("a namespace that is made where another one is gone has a cookie of its own, whatever its inode number", async () => {
  const seen = new Map<bigint, number>();
  for (let round = 0; round < 3; round++) {
    const name = `${lab.id}-again`;
    await run(["ip", "netns", "add", name]);
    try {
      const file = `/var/run/netns/${name}`;
      const inside = new LabProcess({ cgroup: lab.pod("first").place.cgroup, netns: file }, ["sleep", "60"]);
      const { ino } = statSync(file);
      const found = () => tally.last.namespaces.find(({ netns }) => netns === ino);
      await tally.until(
        () => `the namespace ${ino}`,
        () => found() !== undefined,
      );
      seen.set(found()?.cookie ?? 0n, ino);
      await inside.stop("SIGKILL");
    } finally {
      await run(["ip", "netns", "delete", name]);
    }
  }

  expect(seen.size).toBe(3);
  expect([...seen.keys()].every((cookie) => cookie > 0n)).toBe(true);
});

test("a namespace in which no thread lives long is read through the thread that is there", async () => {
  const { ino } = statSync(lab.pod("first").place.netns);
  lab.pod("first").spawn([program("strays"), "heirs", "60000"]);
  await tally.until(
    () => "the namespace of the heirs",
    () => tally.last.namespaces.some(({ netns }) => netns === ino),
  );

  const times: number[] = [];
  for (let exchange = 0; exchange < 200; exchange++) {
    const { namespaces } = await tally.take();
    times.push(namespaces.filter(({ netns }) => netns === ino).length);
  }

  expect(times).toEqual(times.map(() => 1));
  expect(tally.losses).toEqual({});
});

function booksOf(pod: string): NamespaceCounters {
  const { ino } = statSync(lab.pod(pod).place.netns);
  const found = tally.last.namespaces.find(({ netns }) => netns === ino);
  if (!found) throw new Error(`nothing was read of the namespace of ${pod}`);
  return found;
}

/** Connections that clients in the pod's namespace opened. */
function counted(pod: string): number {
  const { ino } = statSync(lab.pod(pod).place.netns);
  return tally.sum(({ role, netns }) => role === "client" && netns === ino).opened;
}

function said(strays: LabProcess, word: string): Promise<unknown> {
  return eventually(
    () => `"${word}" of ${strays.describe()}`,
    () => strays.stdout.includes(word),
  );
}
