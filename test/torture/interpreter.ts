/**
 * One running interpreter of programs (test/lab/torture.c), in a net namespace of its own: what it has said so far, and
 * what it is told.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { eventually } from "../lab/process.ts";
import { program as builtProgram } from "../lab/run.ts";
import { formatProgram, type Program } from "./program.ts";
import { parseTrace, type Trace } from "./trace.ts";

const DEADLINE_MS = 60_000;
const PUPPETS = 3;

type Stage = "start" | "barrier" | "end";

/** Whether an interpreter that has said these lines has come so far. */
const STAGES: Readonly<Record<Stage, (lines: readonly string[]) => boolean>> = {
  start: (lines) => lines.filter((line) => line.startsWith("puppet ")).length === PUPPETS,
  barrier: (lines) => lines.some((line) => line.startsWith("barrier ")),
  end: (lines) => lines.at(-1) === "end",
};

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
    this.#barriers = program.filter((line) => line === ". barrier").length;
    this.#child.stdin?.write(`${formatProgram(program)}.\n`);
  }

  get barriers(): number {
    return this.#barriers;
  }

  /** The net namespace, once the interpreter has said it. */
  get netns(): number {
    return Number(this.#lines.find((line) => line.startsWith("netns "))?.split(" ")[1]);
  }

  /** `start`: its namespace and its puppets are there. */
  async until(kind: Stage): Promise<void> {
    await eventually(
      () => `an interpreter at its ${kind}: ${[...this.#errors, ...this.#lines.slice(-3)].join("; ")}`,
      () => {
        if (this.#child.exitCode !== null) throw new Error(`an interpreter ended: ${this.#errors.join("; ")}`);
        return STAGES[kind](this.#lines);
      },
      DEADLINE_MS,
    );
  }

  goOn(): void {
    for (let i = 0; i < this.barriers; i++) this.#child.stdin?.write("go\n");
  }

  trace(): Trace {
    return parseTrace(this.#lines);
  }

  async leave(): Promise<void> {
    this.#child.stdin?.end("leave\n");
    await this.#gone;
  }
}
