/** `flowspan replay` of a file, in this process. */
import { Writable } from "node:stream";
import type { Terminal } from "../../../../agent/cli/command.ts";
import { replayCommand } from "../../../../agent/cli/replay/replay.ts";

/** What was written, and why it failed. */
export async function replayed(path: string): Promise<{ text: string; failure: string | undefined }> {
  let text = "";
  const stdout = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  const terminal = { env: {}, stdout } as unknown as Terminal;
  const failure = await Promise.resolve(replayCommand.run({}, [path], terminal)).then(
    () => undefined,
    (error: Error) => error.message,
  );
  return { text, failure };
}
