/**
 * Cgroups by which an agent's exports tell programs and puppets apart: each puppet is a container of the program's pod, as
 * the kubelet lays them out, and its number is in `container.id`.
 *
 *   <node>/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope
 */
import { existsSync, mkdirSync, rmdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { Attributes } from "../../agent/model/attribute.ts";
import { eventually } from "../lab/programs/process.ts";

export const PUPPETS = ["a", "b", "c"] as const;
export type Puppet = (typeof PUPPETS)[number];

/** Whose socket it was. */
export interface Owner {
  readonly batch: number;
  readonly program: number;
  readonly puppet: Puppet;
}

const MARK = "70274e";
const DIGITS = 64;
const PATTERN = new RegExp(`^${MARK}([0-9a-f]{8})([0-9a-f]{8})0+([abc])$`);

/** A runtime's id: 64 hex digits, of which a puppet's letter is one. */
export function containerId({ batch, program, puppet }: Owner): string {
  const [which, index] = [batch, program].map((number) => number.toString(16).padStart(8, "0"));
  return `${MARK}${which}${index}`.padEnd(DIGITS - 1, "0") + puppet;
}

/** Undefined where a Resource is of no puppet. */
export function ownerOf(resource: Attributes): Owner | undefined {
  const [, batch, program, puppet] = PATTERN.exec(String(resource["container.id"])) ?? [];
  if (puppet === undefined) return undefined;
  return {
    batch: Number.parseInt(batch ?? "", 16),
    program: Number.parseInt(program ?? "", 16),
    puppet: puppet as Puppet,
  };
}

/** The cgroups of one program, under the names that its interpreter knows. */
export class ProgramCgroups {
  /** Holds `a`, `b` and `c`. */
  readonly directory: string;
  readonly #pods: readonly string[];
  readonly #containers: readonly string[];

  /**
   * @param nodes the cgroup of the node that each puppet lives on
   * @param directory does not exist yet
   */
  constructor(nodes: Readonly<Record<Puppet, string>>, directory: string, owner: Omit<Owner, "puppet">) {
    const uid = `00000000_0000_0000_0000_${containerId({ ...owner, puppet: "a" }).slice(MARK.length + 4, MARK.length + 16)}`;
    this.directory = directory;
    const slice = `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid}.slice`;
    const pods = PUPPETS.map((puppet) => join(nodes[puppet], slice));
    this.#pods = [...new Set(pods)];
    this.#containers = PUPPETS.map((puppet, i) =>
      join(pods[i] as string, `cri-containerd-${containerId({ ...owner, puppet })}.scope`),
    );
    mkdirSync(directory, { recursive: true });
    for (const [i, cgroup] of this.#containers.entries()) {
      mkdirSync(cgroup, { recursive: true });
      symlinkSync(cgroup, join(directory, PUPPETS[i] as Puppet));
    }
  }

  /** Waits until nobody lives in them: puppets end a moment after their interpreter. */
  async remove(): Promise<void> {
    for (const cgroup of [...this.#containers, ...this.#pods])
      await eventually(`an empty ${cgroup}`, () => {
        rmdirUnlessBusy(cgroup);
        return !existsSync(cgroup);
      });
    rmSync(this.directory, { recursive: true });
  }
}

function rmdirUnlessBusy(cgroup: string): void {
  try {
    rmdirSync(cgroup);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
  }
}
