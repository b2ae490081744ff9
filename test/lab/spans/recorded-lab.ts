/**
 * A probe on each of two nodes, and their connection records as the kernel makes them.
 *
 *   client on node-1 ── Service, loss ── server on node-2, a probe on each node
 */
import { expect } from "vitest";
import { ConnectionFlag, SAMPLE_NEVER } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { RecordSettings } from "../../../agent/source/source.ts";
import { Tally } from "../agents/tally.ts";
import { twoPods } from "../world/describe.ts";
import { type Lab, startLab } from "../world/lab.ts";

export const PORT = 8080;
export const RESETS = 8081;

export const EVERYTHING: RecordSettings = {
  activeTimeoutNs: 0n,
  traceKey: [0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n],
  threshold: SAMPLE_NEVER,
  every: 0,
  adaptive: undefined,
  rate: { perSecond: 0, burst: 0 },
};
/** So that none is shed for want of a reader on a busy machine. */
const ROOM = ["--records-ring", String(8 * 1024 * 1024)];

export class RecordedLab {
  readonly lab: Lab;
  readonly near: Tally;
  readonly far: Tally;
  /** How many connections had closed, and how many of these closes were seen, when each was last told what to record. */
  readonly #starts = new Map<Tally, { readonly ended: number; readonly closed: number }>();

  private constructor(lab: Lab, near: Tally, far: Tally) {
    this.lab = lab;
    this.near = near;
    this.far = far;
  }

  /** @param undo hears what to close, in the order in which it was started, also of a start that fails */
  static async start(undo: (() => unknown)[]): Promise<RecordedLab> {
    const lab = await startLab(twoPods());
    undo.push(() => lab.close());
    const near = await Tally.start(lab, "node-1", ROOM);
    undo.push(() => near.close());
    const far = await Tally.start(lab, "node-2", ROOM);
    undo.push(() => far.close());
    const listen = [{ port: PORT }, { port: RESETS, mode: "reset", resetAfter: 100 } as const];
    await lab.pod("server").serve({ listen });
    return new RecordedLab(lab, near, far);
  }

  async recordBoth(recording: RecordSettings): Promise<void> {
    const both = [this.near, this.far];
    await Promise.all(both.map((tally) => tally.record(recording)));
    for (const tally of both) this.#starts.set(tally, { ended: tally.ended, closed: tally.sum().closed });
  }

  /** So many connections, one after the other, all closed and their records here when it resolves. */
  async churnRecorded(recording: RecordSettings, count: number, bytesOfEach = {}) {
    await this.recordBoth(recording);
    const counts = await this.lab.pod("client").play("churn", { to: this.service(), count, ...bytesOfEach });
    await this.allClosed(count);
    return counts;
  }

  service() {
    const { clusterIps, port } = this.lab.service("server");
    return [{ address: clusterIps.v4, port }];
  }

  /** Exchanges until so many records have come. */
  async arrived(nearCount: number, farCount: number | undefined): Promise<void> {
    for (const [tally, count] of [
      [this.near, nearCount],
      [this.far, farCount],
    ] as const)
      if (count !== undefined)
        await tally.until(
          () => `${count} records, but ${tally.records.length}`,
          () => tally.records.length >= count,
          30_000,
        );
  }

  /**
   * Exchanges until both ends have closed so many since record(): then all records that are due have come.
   * Fails at once where the kernel hid a close, which leaves no record.
   */
  async allClosed(count: number): Promise<void> {
    for (const tally of [this.near, this.far]) {
      const start = this.#starts.get(tally) ?? { ended: 0, closed: 0 };
      const ended = () => tally.ended - start.ended;
      await tally.until(
        () => `${count} closes, but ${ended()}`,
        () => ended() === count,
        30_000,
      );
      expect({ closed: tally.sum().closed - start.closed, losses: tally.losses }).toMatchObject({ closed: count });
    }
  }
}

export function traceIds(tally: Tally): string[] {
  return tally.records.map(({ traceId }) => traceId);
}

export function bytes(records: readonly Connection[]) {
  return {
    sent: sum(records, ({ bytesSent }) => bytesSent),
    received: sum(records, ({ bytesReceived }) => bytesReceived),
  };
}

export function sum(records: readonly Connection[], of: (record: Connection) => number): number {
  return records.reduce((total, record) => total + of(record), 0);
}

export function isInterim({ flags }: Connection): boolean {
  return (flags & (1 << ConnectionFlag.CONNECTION_INTERIM)) !== 0;
}
