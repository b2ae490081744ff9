/** No secret leaves through the log. */
import { expect, test } from "vitest";
import { createLog, redact } from "../../../agent/shared/log.ts";

function lines(write: (log: ReturnType<typeof createLog>) => void, secrets: string[] = []): Record<string, unknown>[] {
  const written: string[] = [];
  write(createLog({ level: "info", secrets, write: (line) => written.push(line) }));
  return written.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("a line is JSON with its level in words and the time", () => {
  const [line] = lines((log) => log.warn({ rows: 23, at: 23n }, "said"));

  expect(line).toEqual({ level: "warn", time: expect.stringMatching(/^\d{4}-.*Z$/), rows: 23, at: "23", msg: "said" });
});

test("fields below the level are not written", () => {
  expect(lines((log) => log.debug({}, "unseen"))).toEqual([]);
});

test("fields named like secrets are redacted at any depth; empty ones may show that they are empty", () => {
  const value = {
    a: { Authorization: "x", list: [{ apiKey: 1 }] },
    headers: { a: "b" },
    headersList: {},
    token: "",
    port: 1,
  };

  expect(redact(value)).toEqual({
    a: { Authorization: "[redacted]", list: [{ apiKey: "[redacted]" }] },
    headers: "[redacted]",
    headersList: {},
    token: "",
    port: 1,
  });
});

test("an error that was foreseen is told without its place in the code, any other with it", () => {
  const foreseen = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });

  const [first, second] = lines((log) => {
    log.warn({ error: foreseen }, "known");
    log.warn({ error: new Error("what is this") }, "unknown");
  });

  expect(first?.error).toEqual({ type: "Error", message: "refused", code: "ECONNREFUSED" });
  expect(second?.error).toMatchObject({ message: "what is this", stack: expect.stringContaining("log.test.ts") });
});

test("a header's value is replaced wherever it appears, also without its scheme and in an error's stack", () => {
  const [line] = lines(
    (log) => log.error({ error: new Error('refused abc"def123') }, 'sent Bearer abc"def123'),
    ['Bearer abc"def123'],
  );

  expect(JSON.stringify(line)).not.toContain("def123");
  expect(line).toMatchObject({ msg: "sent [redacted]", error: { message: "refused [redacted]" } });
});
