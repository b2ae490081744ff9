/**
 * One running interpreter of programs (test/torture/interpreter/torture.c), in a net namespace of its own: what it has said so far, and
 * what it is told.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { eventually } from "../lab/programs/process.ts";
import { program as builtProgram } from "../lab/programs/run.ts";
import { BARRIER, formatProgram, type Program } from "./program.ts";
import { parseTrace, type Trace } from "./trace.ts";

const DEADLINE_MS = 60_000;
const PUPPETS = 3;

export class Interpreter {
  #barriers = 0;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #errors: string[] = [];
  readonly #gone: Promise<void>;

  /** @param cgroups a directory with the cgroups `a`, `b` and `c`; without a program it waits for begin() */
  constructor(cgroups: string, program?: Program) {
    this.#child = spawn(builtProgram("torture"), [cgroups], { stdio: "pipe" });
    this.#gone = new Promise((resolve) => this.#child.on("close", () => resolve()));
    this.#child.on("error", (error) => this.#errors.push(error.message));
    this.#child.stdin?.on("error", (error) => this.#errors.push(error.message));
    if (this.#child.stdout) createInterface({ input: this.#child.stdout }).on("line", (line) => this.#lines.push(line));
    if (this.#child.stderr)
      createInterface({ input: this.#child.stderr }).on("line", (line) => this.#errors.push(line));
    if (program) this.begin(program);
  }

  /** Once. */
  begin(program: Program): void {
    this.#barriers = program.filter((line) => line === BARRIER).length;
    this.#child.stdin?.write(`${formatProgram(program)}.\n`);
  }

  get barriers(): number {
    return this.#barriers;
  }

  /** The net namespace, once the interpreter has said it. */
  get netns(): number {
    return Number(this.#lines.find((line) => line.startsWith("netns "))?.split(" ")[1]);
  }

  /** Resolves when its namespace and its puppets are there. */
  untilStart(): Promise<void> {
    return this.#until("start", () => this.#count("puppet ") === PUPPETS);
  }

  /** @param barrier 0 for its first one */
  untilBarrier(barrier: number): Promise<void> {
    return this.#until("barrier", () => this.#count("barrier ") > barrier);
  }

  untilEnd(): Promise<void> {
    return this.#until("end", () => this.#lines.at(-1) === "end");
  }

  /** At a barrier: notes what is open and the kernel's books. */
  look(): Promise<void> {
    const looks = this.#count("looked ");
    this.#child.stdin?.write("look\n");
    return this.#until("look", () => this.#count("looked ") > looks);
  }

  /** Leaves the barrier at which it stands. */
  goOn(): void {
    this.#child.stdin?.write("go\n");
  }

  /** Leaves the barrier at which it stands, and those that follow when it comes to them. */
  goOnToTheEnd(): void {
    for (let barrier = this.#count("barrier "); barrier <= this.#barriers; barrier++) this.goOn();
  }

  trace(): Trace {
    return parseTrace(this.#lines);
  }

  async leave(): Promise<void> {
    this.#child.stdin?.end("leave\n");
    await this.#gone;
  }

  #count(prefix: string): number {
    return this.#lines.filter((line) => line.startsWith(prefix)).length;
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    await eventually(
      () => `an interpreter at its ${what}: ${[...this.#errors, ...this.#lines.slice(-3)].join("; ")}`,
      () => {
        if (this.#child.exitCode !== null) throw new Error(`an interpreter ended: ${this.#errors.join("; ")}`);
        return condition();
      },
      DEADLINE_MS,
    );
  }
}
