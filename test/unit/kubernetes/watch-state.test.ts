/** What counts as a word that confirms what is known. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiFailure } from "../../../agent/kubernetes/failure.ts";
import { WatchRecord } from "../../../agent/kubernetes/watch-state.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "Date"], now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** The record of a watch that became current a second after its start. */
function currentRecord(): WatchRecord {
  const record = new WatchRecord("pods");
  record.connects();
  record.lists(true);
  vi.advanceTimersByTime(1_000);
  record.listed();
  record.becomesCurrent();
  return record;
}

test("a watch that was never current is as old as it is", () => {
  const record = new WatchRecord("pods");

  vi.advanceTimersByTime(23_000);
  record.heard();

  expect(record.read(0)).toMatchObject({ synced: false, current: false, ageMs: 23_000, idleMs: 0 });
});

test("while a list is read, nothing that is known is confirmed by it", () => {
  const record = currentRecord();

  record.lists(true);
  vi.advanceTimersByTime(23_000);
  record.heard();

  expect(record.read(7)).toEqual({
    name: "pods",
    synced: true,
    current: false,
    objects: 7,
    lastEventMs: 1_024_000,
    ageMs: 23_000,
    idleMs: 0,
    connects: 1,
    lists: 2,
    ends: 0,
    watchList: true,
    failures: {},
    unreadable: 0,
    trouble: undefined,
  });
});

test("attempts are no confirmation, and the last failure is the trouble until all is current again", () => {
  const record = currentRecord();

  record.lost();
  record.failed(new ApiFailure("closed", "reset"));
  vi.advanceTimersByTime(23_000);
  record.connects();
  record.failed(new ApiFailure("refused", "nobody there", { remedy: "start it" }));
  const away = record.read(0);
  record.becomesCurrent();

  expect(away).toMatchObject({ current: false, ageMs: 23_000, idleMs: 0, trouble: "refused: nobody there; start it" });
  expect(away.failures).toEqual({ closed: 1, refused: 1 });
  expect(record.read(0)).toMatchObject({ ageMs: 0, trouble: undefined });
});
