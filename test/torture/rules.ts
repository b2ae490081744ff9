/** The rules of a program's namespace: which packets may have been taken. */
import type { Program } from "./program.ts";
import type { Role } from "./uses.ts";

export type Chain = "INPUT" | "OUTPUT";

export class Rules {
  readonly #rules: readonly string[];

  constructor(program: Program) {
    this.#rules = program.filter((line) => line.startsWith(". rule"));
  }

  /** Whether a rule of that chain may have taken what this end of a connection to that port sent. */
  takes(chain: Chain, from: Role, port: number): boolean {
    const side = from === "client" ? "--dport" : "--sport";
    return this.#rules.some(
      (rule) => rule.includes(` -A ${chain} `) && (namesNoPort(rule) || new RegExp(` ${side} ${port}\\b`).test(rule)),
    );
  }

  /** Whether any rule may have taken any packet of a connection to that port. */
  touch(port: number): boolean {
    return this.#rules.some((rule) => namesNoPort(rule) || new RegExp(` --[ds]port ${port}\\b`).test(rule));
  }

  /** Whether there is a rule of that chain. */
  has(chain: Chain): boolean {
    return this.#rules.some((rule) => rule.includes(` -A ${chain} `));
  }
}

function namesNoPort(rule: string): boolean {
  return !/ --[ds]port /.test(rule);
}
