/**
 * What every source of exchanges promises (agent/source/source.ts), as tests that run on each of them.
 *
 * A test tells a story of connections: what the probe of each sends. How the story comes to be, on a socket, in a
 * recording or in a fake, is the implementation's; what a consumer sees of it must be the same.
 */
import { describe, expect, test } from "vitest";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { Exchange, Hello } from "../../../agent/model/probe-event.ts";
import type { Frame } from "../../../agent/source/frames.ts";
import {
  type ExchangeData,
  type ProbeSource,
  SourceError,
  type SourceListeners,
} from "../../../agent/source/source.ts";
import { connectionFrame, type ExchangeValues, edgeGrowth, exchangeFrames, helloFrame } from "./frames-builder.ts";
import { edge } from "./probing.ts";

/** What the probe does when it is asked for an exchange. */
export interface Answer {
  readonly frames: readonly Frame[];
  /** Where set: the connection ends after so many bytes of the answer. */
  readonly cutAt?: number;
}

/** One connection of the story; where no answer is cut it ends when there is a next one. */
export interface StoryConnection {
  readonly hello?: Partial<Hello>;
  /** Behind HELLO, before anybody asks. */
  readonly unasked?: readonly Frame[];
  readonly answers: readonly Answer[];
}

export interface Implementation {
  readonly name: string;
  /** Makes a source that lives through the story. It is closed with the test. */
  readonly open: (story: readonly StoryConnection[], listeners: SourceListeners) => Promise<ProbeSource>;
  /** False for one that hands out exchanges without bytes: it has no cut streams, records, clocks and statistics. */
  readonly readsBytes: boolean;
  /** Whether it ends with its story; a live one waits for the next probe. */
  readonly ends: boolean;
}

function whole(values: ExchangeValues): Answer {
  return { frames: exchangeFrames(values) };
}

/** What a consumer sees of an exchange. */
function seen(exchange: ExchangeData | undefined) {
  if (exchange === undefined) return undefined;
  const { begin, end, rows, cgroups, namespaces, programs, status } = exchange;
  return {
    exchange: [begin.exchange, end.exchange],
    bytes: rows.map((row) => row.counter(0)),
    cgroups: cgroups.map(({ id }) => id),
    namespaces: namespaces.map(({ netns }) => netns),
    programs: programs.map(({ runs }) => runs),
    evicted: status.evicted,
  };
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "no error",
    (error) => (error instanceof SourceError ? error.code : String(error)),
  );
}

export function describeSource({ name, open, readsBytes, ends }: Implementation): void {
  describe(name, () => {
    const opened = (story: readonly StoryConnection[], listeners: SourceListeners = {}) => open(story, listeners);

    test("HELLO comes before all else, and can be asked for again", async () => {
      const source = await opened([{ answers: [whole({ exchange: 1n })] }]);

      const first = await source.hello();
      await source.exchange();

      expect(first.kernel).toBe("6.12.0");
      expect(await source.hello()).toEqual(first);
    });

    test("exchanges come whole and in the probe's order, each asked for", async () => {
      const parts = { cgroups: [{ id: 7n }, { id: 11n }], namespaces: [{ netns: 13 }], programs: [{ runs: 17 }] };
      const first = { ...parts, exchange: 1n, edges: [edge(80, 23), edge(81, 29)], status: { evicted: 19 } };
      const source = await opened([{ answers: [whole(first), whole({ exchange: 2n, edges: [edge(80, 31)] })] }]);

      const all = [seen(await source.exchange()), seen(await source.exchange())];

      expect(all).toEqual([
        { exchange: [1n, 1n], bytes: [23, 29], cgroups: [7n, 11n], namespaces: [13], programs: [17], evicted: 19 },
        { exchange: [2n, 2n], bytes: [31], cgroups: [], namespaces: [], programs: [], evicted: 0 },
      ]);
    });

    test("rows can be read until their exchange is freed, which takes nothing from the next one", async () => {
      const answers = [1n, 2n].map((exchange) => whole({ exchange, edges: [edge(80, 23 + Number(exchange))] }));
      const source = await opened([{ answers }]);
      const first = await source.exchange();
      const second = await source.exchange();
      const before = seen(first)?.bytes;

      first?.free();

      expect([before, seen(second)?.bytes]).toEqual([[24], [25]]);
    });

    test("exchange() is for one caller at a time", async () => {
      const source = await opened([{ answers: [whole({ exchange: 1n }), whole({ exchange: 2n })] }]);
      await source.hello();
      const first = source.exchange();

      await expect(source.exchange()).rejects.toThrow("exchange() was called while another one is under way");
      expect(seen(await first)?.exchange).toEqual([1n, 1n]);
      expect(seen(await source.exchange())?.exchange).toEqual([2n, 2n]);
    });

    test("a flush confirms all rows that were settled before it, and each once", async () => {
      const values = { exchange: 1n, edges: [edge(80, 23), edge(81, 29), edge(82, 31)] };
      const source = await opened([{ answers: [whole(values), whole({ exchange: 2n })] }]);
      const { rows = [] } = (await source.exchange()) ?? {};

      const without = await source.flush();
      source.settle(rows.slice(0, 1));
      source.settle(rows.slice(1));
      const settled = await source.flush();

      expect([without, settled, await source.flush()]).toEqual([
        { rows: 0, unknown: 0, refused: 0 },
        { rows: 3, unknown: 0, refused: 0 },
        { rows: 0, unknown: 0, refused: 0 },
      ]);
    });

    test("settings and prefix rules are taken at any time; a prefix that is none is refused", async () => {
      const source = await opened([{ answers: [whole({ exchange: 1n })] }]);
      source.settings({ idleNs: 1n, records: false });
      source.prefixRules([{ address: "10.0.0.0", prefixLength: 8, collapse: true }]);

      const exchange = await source.exchange();
      source.settings({ idleNs: 2n, records: true });

      expect(seen(exchange)?.exchange).toEqual([1n, 1n]);
      expect(() => source.prefixRules([{ address: "10.0.0.0", prefixLength: 33, collapse: true }])).toThrow(RangeError);
    });

    test("close() ends every call with `closed`, those that wait and those that come, and may come twice", async () => {
      const source = await opened([{ answers: [whole({ exchange: 1n, edges: [edge(80, 23)] }), whole({})] }]);
      await source.exchange();
      const waiting = codeOf(source.exchange());

      await Promise.all([source.close(), source.close()]);
      await source.close();
      source.settle([edgeGrowth()]);
      const after = [source.hello(), source.exchange(), source.flush()].map(codeOf);

      expect(await Promise.all([waiting, ...after])).toEqual(["closed", "closed", "closed", "closed"]);
    });

    if (ends) {
      test("the end is told by undefined, and again to whoever asks again", async () => {
        const source = await opened([{ answers: [whole({ exchange: 1n })] }]);

        const all = [await source.exchange(), await source.exchange(), await source.exchange()];

        expect(all.map((each) => each?.end.exchange)).toEqual([1n, undefined, undefined]);
      });
    }

    if (readsBytes) describeStreams(opened);
  });
}

/** What concerns bytes, and what comes between exchanges. */
function describeStreams(opened: (story: readonly StoryConnection[], to?: SourceListeners) => Promise<ProbeSource>) {
  test("a stream that is cut fails that exchange alone: nothing of it is handed out, cgroups come again", async () => {
    const values = { exchange: 1n, cgroups: [{ id: 7n }], edges: [edge(80, 23), edge(81, 29)] };
    const { length } = Buffer.concat(exchangeFrames(values).map(({ payload }) => payload));
    for (const cutAt of [0, 3, 200, length - 1]) {
      const source = await opened([
        { answers: [{ ...whole(values), cutAt }] },
        { hello: { probePid: 31 }, answers: [whole({ ...values, exchange: 2n })] },
      ]);

      const code = await codeOf(source.exchange());
      const next = seen(await source.exchange());

      expect({ code, next }).toMatchObject({
        code: "disconnected",
        next: { exchange: [2n, 2n], bytes: [23, 29], cgroups: [7n] },
      });
      expect(await source.hello()).toMatchObject({ probePid: 31 });
      expect(source.stats()).toMatchObject({ connects: 2 });
      await source.close();
    }
  });

  test("records and clocks are heard as they come, behind HELLO and in the probe's order", async () => {
    const heard: string[] = [];
    const listeners: SourceListeners = {
      hello: ({ probePid }) => heard.push(`hello ${probePid}`),
      connection: ({ pid }: Connection) => heard.push(`record ${pid}`),
      clocks: ({ bootNs }: Pick<Exchange, "bootNs">) => heard.push(`clock ${bootNs / 1_000_000_000n}`),
    };
    const [begin, ...rest] = exchangeFrames({ exchange: 1n });
    const middle = [begin as Frame, connectionFrame({ pid: 29 }), ...rest];
    const source = await opened(
      [{ hello: { probePid: 19 }, unasked: [connectionFrame({ pid: 23 })], answers: [{ frames: middle }] }],
      listeners,
    );

    await source.exchange();

    expect(heard).toEqual(["clock 100", "hello 19", "record 23", "clock 115", "record 29", "clock 115"]);
  });

  test("what cannot be used is counted by its name, and the exchange around it is whole", async () => {
    const [begin, ...rest] = exchangeFrames({ exchange: 1n, edges: [edge(80, 23)] });
    const unknown = { kind: 999, payload: new Uint8Array(23) };
    const source = await opened([{ answers: [{ frames: [begin as Frame, unknown, unknown, ...rest] }] }]);

    expect(seen(await source.exchange())).toMatchObject({ exchange: [1n, 1n], bytes: [23] });
    expect(source.stats().failures).toEqual({ unknown_kind: 2 });
  });

  test("a row that is missing is counted, and the others are handed out", async () => {
    const frames = exchangeFrames({ exchange: 1n, edges: [edge(80, 23), edge(81, 29)] });
    const source = await opened([{ answers: [{ frames: frames.toSpliced(1, 1) }] }]);

    expect(seen(await source.exchange())?.bytes).toEqual([29]);
    expect(source.stats().failures).toEqual({ row_missing: 1 });
  });

  test("bytes and frames are counted, over all connections", async () => {
    const answers = [whole({ exchange: 1n }), whole({ exchange: 2n })];
    const source = await opened(answers.map((answer, i) => ({ hello: { probePid: i }, answers: [answer] })));
    const frames = [helloFrame(), ...exchangeFrames({ exchange: 1n })];
    const bytes = frames.reduce((sum, { payload }) => sum + 8 + payload.length, 0);

    for (const exchange of [1n, 2n]) {
      let next: ExchangeData | undefined;
      // Where a connection ends between two exchanges, asking may fail once.
      while (next === undefined) next = await source.exchange().catch(() => undefined);
      expect(next.begin.exchange).toBe(exchange);
    }

    expect(source.stats()).toEqual({
      connects: 2,
      bytes: 2 * bytes,
      frames: 2 * frames.length,
      resent: 0,
      failures: {},
    });
  });
}
