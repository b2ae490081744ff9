/** Which differences a series may make that was cut when its agent and the probe were killed together. */
import { expect, test } from "vitest";
import { isOfCutSeries } from "../../torture/agent-result.ts";

function failed(...differences: readonly string[]) {
  return { program: [], differences };
}

test("only where every difference is of what series add up to may a cut one be the cause", () => {
  const sum = "sums: client 8000: bytesSent of the edges is 1008, must be 1009";

  expect(isOfCutSeries([])).toBe(false);
  expect(isOfCutSeries([failed(sum), failed("record-sums: 1 ends have no span, and 0 are told as lost")])).toBe(true);
  expect(isOfCutSeries([failed(sum, "bytes: client: bytes sent is 1008, must be 1009")])).toBe(false);
  expect(isOfCutSeries([failed(sum), failed("span-form: client span: name is tcp, must be tcp connection")])).toBe(
    false,
  );
});
