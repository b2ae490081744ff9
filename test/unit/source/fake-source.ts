/**
 * A source that hands out what a test says, for tests of what stands behind a source. The suite of contract.test.ts
 * holds it against the real ones.
 */
import type { Hello } from "../../../agent/model/probe-event.ts";
import { prefixRuleCommands } from "../../../agent/source/commands.ts";
import { ExchangeReader } from "../../../agent/source/exchange-reader.ts";
import { type Frame, packFrames } from "../../../agent/source/frames.ts";
import {
  closedError,
  type ExchangeData,
  type PrefixRule,
  type ProbeSettings,
  type ProbeSource,
  type Settled,
  type SettledRow,
  type SourceStats,
} from "../../../agent/source/source.ts";
import { helloFrame } from "./frames-builder.ts";

export class FakeSource implements ProbeSource {
  /** `exchange`, `settle ROWS`, `flush`, in their order. */
  readonly calls: string[] = [];
  readonly settledRows: SettledRow[] = [];
  readonly #script: (() => ExchangeData)[];
  #unconfirmed = 0;
  #isClosed = false;
  #isAsked = false;

  /** @param script what each exchange() runs and hands out, or throws; the source ends after the last */
  constructor(script: readonly (() => ExchangeData)[]) {
    this.#script = [...script];
  }

  async hello(): Promise<Hello> {
    this.#mustBeOpen();
    return helloOf();
  }

  async exchange(): Promise<ExchangeData | undefined> {
    this.#mustBeOpen();
    if (this.#isAsked) throw new Error("exchange() was called while another one is under way");
    this.#isAsked = true;
    await Promise.resolve();
    this.#isAsked = false;
    this.#mustBeOpen();
    const step = this.#script.shift();
    if (step === undefined) return undefined;
    this.calls.push("exchange");
    return step();
  }

  settle(rows: readonly SettledRow[]): void {
    this.calls.push(`settle ${rows.length}`);
    this.settledRows.push(...rows);
    this.#unconfirmed += rows.length;
  }

  async flush(): Promise<Settled> {
    this.#mustBeOpen();
    this.calls.push("flush");
    const rows = this.#unconfirmed;
    this.#unconfirmed = 0;
    return { rows, unknown: 0, refused: 0 };
  }

  settings(_settings: ProbeSettings): void {}

  prefixRules(rules: readonly PrefixRule[]): void {
    prefixRuleCommands(rules);
  }

  stats(): SourceStats {
    return { connects: 1, bytes: 0, frames: 0, resent: 0, failures: {} };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }
}

/** An exchange as a source hands it out. */
export function exchangeOf(frames: readonly Frame[]): ExchangeData {
  const exchanges: ExchangeData[] = [];
  read((exchange) => exchanges.push(exchange), packFrames([helloFrame(), ...frames]));
  return exchanges[0] as ExchangeData;
}

function helloOf(): Hello {
  let hello: Hello | undefined;
  read(
    () => {},
    packFrames([helloFrame()]),
    (read) => {
      hello = read;
    },
  );
  return hello as Hello;
}

function read(exchange: (exchange: ExchangeData) => void, bytes: Buffer, hello: (hello: Hello) => void = () => {}) {
  const event: ConstructorParameters<typeof ExchangeReader>[0]["event"] = (each) => {
    if (each.kind === "hello") hello(each);
  };
  new ExchangeReader({ event, exchange, outOfOrder: () => {}, beyondHello: () => {}, failure: () => {} }).read(bytes);
}
