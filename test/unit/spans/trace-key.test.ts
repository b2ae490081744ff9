/** The key of the trace ids: what a file may hold, and that it is read again when it changes. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { settingsFrom } from "../../../agent/config/setting-rows.ts";
import { usesDefaultKey } from "../../../agent/runtime/options.ts";
import { DEFAULT_TRACE_KEY, parseTraceKey, TraceKeyFile } from "../../../agent/spans/trace-key.ts";

const HEX = "000102030405060708090a0b0c0d0e0f";
const KEY = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n];

test.each<[string, Buffer, readonly bigint[] | undefined]>([
  ["16 bytes", Buffer.from(HEX, "hex"), KEY],
  ["32 hex digits", Buffer.from(HEX), KEY],
  ["32 hex digits and a line's end", Buffer.from(`${HEX.toUpperCase()}\n`), KEY],
  ["nothing", Buffer.alloc(0), undefined],
  ["15 bytes", Buffer.alloc(15), undefined],
  ["31 digits", Buffer.from(HEX.slice(1)), undefined],
  ["32 bytes that are no digits", Buffer.from("x".repeat(32)), undefined],
])("%s", (_, content, key) => {
  expect(parseTraceKey(content)).toEqual(key);
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-key-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function log() {
  const warned: string[] = [];
  return { warned, info: () => {}, warn: (_: object, message: string) => warned.push(message) };
}

test("without a file there is a key that all agents have", () => {
  const file = new TraceKeyFile(undefined, log(), () => {});

  expect(file.key).toEqual(DEFAULT_TRACE_KEY);
});

test("a key that is replaced is in effect at once, and one that is no key changes nothing", async () => {
  const path = join(directory, "key");
  const replace = (content: string) => {
    writeFileSync(`${path}.new`, content);
    renameSync(`${path}.new`, path);
  };
  const changed = vi.fn();
  const said = log();
  replace(HEX);

  const file = new TraceKeyFile(path, said, changed);
  const first = file.key;
  replace(HEX.replace("00", "ff"));
  await vi.waitFor(() => expect(changed).toHaveBeenCalledTimes(1), 30_000);
  replace("no key");
  await vi.waitFor(() => expect(said.warned).toHaveLength(1), 30_000);
  file.close();

  expect([first, file.key]).toEqual([KEY, [0x07060504030201ffn, KEY[1]]]);
});

test("a file that is not there is said, and the key that everybody knows is used", () => {
  const said = log();

  const file = new TraceKeyFile(join(directory, "missing"), said, () => {});
  file.close();

  expect([file.key, said.warned]).toEqual([
    DEFAULT_TRACE_KEY,
    ["the key of the trace ids cannot be read: the one that everybody knows is used"],
  ]);
});

test("spans without a key of their own are warned of, and only those", () => {
  const uses = (values: [string, unknown][]) => usesDefaultKey(settingsFrom(new Map(values)));

  expect(uses([])).toBe(true);
  expect(uses([["spans.keyFile", "/etc/flowspan-trace-key/key"]])).toBe(false);
  expect(uses([["disabled", true]])).toBe(false);
});
