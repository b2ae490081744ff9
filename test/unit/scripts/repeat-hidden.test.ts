/** What runs again when the kernel hid state changes, and what counts afterwards. */
import { expect, test } from "vitest";
import { filesToRepeat, merged } from "../../../scripts/repeat-hidden.ts";

const REPORT = {
  testResults: [
    { name: "/a.test.ts", status: "failed" },
    { name: "/b.test.ts", status: "failed" },
    { name: "/c.test.ts", status: "passed" },
  ],
};

test("only a file that failed with something hidden runs again", () => {
  expect(filesToRepeat(REPORT, "3 /a.test.ts\n1 /c.test.ts\n")).toEqual(["/a.test.ts"]);
});

test("nothing hidden: a failure stays one", () => {
  expect(filesToRepeat(REPORT, "")).toEqual([]);
});

test("the repetition's word replaces the first, all others stay", () => {
  expect(merged(REPORT, { testResults: [{ name: "/a.test.ts", status: "passed" }] })).toEqual({
    testResults: [
      { name: "/a.test.ts", status: "passed" },
      { name: "/b.test.ts", status: "failed" },
      { name: "/c.test.ts", status: "passed" },
    ],
  });
});
