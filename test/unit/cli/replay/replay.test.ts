/** `flowspan replay` of the golden recording: whole, and with rows in it that nobody can read. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { edgeKey, FLOWSPAN_PROTOCOL, FrameKind, frameEdge } from "../../../../agent/generated/layout.ts";
import { EntryKind, readEntries } from "../../../../agent/recording/container.ts";
import { Recorder } from "../../../../agent/recording/recorder.ts";
import { type Frame, FrameSplitter, packFrames } from "../../../../agent/source/frames.ts";
import { statusFrame } from "../../source/frames-builder.ts";
import { replayed } from "./replayed.ts";

const GOLDEN = fileURLToPath(new URL("../../../golden/two-services.gz", import.meta.url));
const ROLE_AT = frameEdge.fields.key.offset + edgeKey.fields.role.offset;

/** The golden recording with a role that does not exist in its first `count` rows. */
async function damaged(count: number): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-replay-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "recording");
  const recorder = new Recorder({ path, log: { info() {}, warn() {}, error() {} } });
  let left = count;
  let splitter = new FrameSplitter();
  async function* bytes() {
    yield gunzipSync(await readFile(GOLDEN));
  }
  for await (const entry of readEntries(bytes(), FLOWSPAN_PROTOCOL)) {
    const frames: Frame[] = [];
    if (entry.kind === EntryKind.CONNECTED) {
      splitter = new FrameSplitter();
      recorder.connected();
    } else if (entry.kind === EntryKind.TO_PROBE) recorder.toProbe(entry.bytes);
    else if (entry.kind === EntryKind.DISCONNECTED) recorder.disconnected();
    else splitter.push(entry.bytes, (kind, payload) => frames.push({ kind, payload: Buffer.from(payload) }));
    for (const { kind, payload } of frames) if (kind === FrameKind.FRAME_EDGE && left-- > 0) payload[ROLE_AT] = 9;
    if (frames.length > 0) recorder.fromProbe(packFrames(frames));
  }
  await recorder.close();
  return path;
}

const linesOf = (text: string) => text.trimEnd().split("\n").length;

test("rows that cannot be read fail the replay by name, after all that came of the others", async () => {
  const whole = await replayed(GOLDEN);
  const rewritten = await replayed(await damaged(0));
  const lacking = await replayed(await damaged(3));

  expect([whole.failure, rewritten]).toEqual([undefined, whole]);
  expect(lacking.failure).toMatch(
    /^the recording holds what could not be read.*: unknown_role 3 \(first at byte \d+, frame \d+\), row_missing 3 \(first at byte \d+, frame \d+\)$/,
  );
  expect(linesOf(lacking.text)).toBeGreaterThan(100);
  expect(linesOf(lacking.text)).toBeLessThan(linesOf(whole.text));
});

test("a recording that is refused at its first frame is closed again", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "flowspan-replay-")), "recording");
  onTestFinished(() => rmSync(dirname(path), { recursive: true }));
  const recorder = new Recorder({ path, log: { info() {}, warn() {}, error() {} } });
  recorder.connected();
  recorder.fromProbe(packFrames([statusFrame()]));
  await recorder.close();

  const { failure } = await replayed(path);

  expect(failure).toMatch(/at byte 32: frame 1 of connection 1: the probe began with status instead of HELLO$/);
  expect(openFiles()).not.toContain(path);
});

function openFiles(): (string | undefined)[] {
  return readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The directory's own descriptor is closed by now.
      return undefined;
    }
  });
}
