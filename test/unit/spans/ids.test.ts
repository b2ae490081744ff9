/** Ids that both agents must come to alone: pinned, since another version of the agent must agree too. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { connectionSpanId, interimSpanId } from "../../../agent/spans/ids.ts";
import { TRACE_ID } from "./builders.ts";

test("ids are what they always were", () => {
  expect([
    connectionSpanId(TRACE_ID, "client"),
    connectionSpanId(TRACE_ID, "server"),
    interimSpanId(TRACE_ID, "client", 0),
    interimSpanId(TRACE_ID, "server", 23),
  ]).toMatchInlineSnapshot(`
    [
      "e9f60328c73f4336",
      "52ef58573fcc8590",
      "361c839cefcde6ba",
      "5d2687bdea0d72cc",
    ]
  `);
});

test("all ids of one trace, and those of two traces, are different 8-byte ids", () => {
  const traceId = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString("hex"));
  fc.assert(
    fc.property(fc.uniqueArray(traceId, { minLength: 2, maxLength: 2 }), (traces) => {
      const ids = traces.flatMap((id) => [
        connectionSpanId(id, "client"),
        connectionSpanId(id, "server"),
        interimSpanId(id, "client", 0),
        interimSpanId(id, "client", 1),
        interimSpanId(id, "server", 0),
      ]);

      expect(new Set(ids).size).toBe(10);
      for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}$/);
    }),
  );
});
