/**
 * A cgroup with a limit of memory, as a container has one: below the lab's own where the v2 hierarchy has that controller,
 * else in the v1 hierarchy. What the kernel charges and when it kills are the same in both.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findCgroupMount } from "./cgroups.ts";

const FILES = {
  v2: { limit: "memory.max", usage: "memory.current", kills: "memory.events" },
  v1: { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", kills: "memory.oom_control" },
};

export class MemoryGroup {
  readonly #directory: string;
  readonly #files: (typeof FILES)["v1"];

  /** @param lab its name; the group goes with the lab */
  constructor(lab: string) {
    const mount = findCgroupMount();
    const isV2 = /\bmemory\b/.test(readFileSync(join(mount, "cgroup.controllers"), "utf8"));
    this.#files = FILES[isV2 ? "v2" : "v1"];
    this.#directory = isV2 ? join(mount, lab, "limited") : memoryGroupV1(lab);
    if (isV2)
      for (const above of [mount, join(mount, lab)]) writeFileSync(join(above, "cgroup.subtree_control"), "+memory");
    mkdirSync(this.#directory);
  }

  /** A command that starts what follows it in the group. */
  get enter(): string[] {
    return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', join(this.#directory, "cgroup.procs")];
  }

  /** Bytes that the group is charged for. */
  get usage(): number {
    return Number(this.#read(this.#files.usage));
  }

  /** How many processes of it the kernel has killed for want of memory. */
  get kills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(this.#read(this.#files.kills))?.[1]);
  }

  limit(bytes: number | "max"): void {
    const isV1 = this.#files === FILES.v1;
    writeFileSync(join(this.#directory, this.#files.limit), bytes === "max" && isV1 ? "-1" : String(bytes));
  }

  /** Removes the group, without processes by now, and makes it anew without a limit: as for a container that is restarted. */
  renew(): void {
    rmdirSync(this.#directory);
    mkdirSync(this.#directory);
  }

  #read(file: string): string {
    return readFileSync(join(this.#directory, file), "utf8");
  }
}

/** Where a lab's group is in the v1 hierarchy. */
function memoryGroupV1(lab: string): string {
  return `/sys/fs/cgroup/memory/${lab}`;
}

/** Of a lab whose processes have ended. That of the v2 hierarchy goes with the lab's cgroups. */
export function removeMemoryGroup(lab: string): void {
  if (existsSync(memoryGroupV1(lab))) rmdirSync(memoryGroupV1(lab));
}
