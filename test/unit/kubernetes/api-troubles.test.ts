/** One line in the log for each trouble, and one when it is over, however many watches have it. */
import { expect, test } from "vitest";
import { ApiTroubles } from "../../../agent/kubernetes/api-troubles.ts";
import { ApiFailure, type FailureReason } from "../../../agent/kubernetes/failure.ts";

const FEEDS = { "local-pods": "pods", pods: "pods", services: "services", nodes: "nodes" } as const;
type Feed = keyof typeof FEEDS;
const ALL = Object.keys(FEEDS) as Feed[];

function started() {
  const lines: string[] = [];
  const troubles = new ApiTroubles({
    info: (fields, message) => lines.push(`${message} ${JSON.stringify(fields)}`),
    warn: (fields) => lines.push(`lost ${JSON.stringify(fields)}`),
  });
  const fail = (reason: FailureReason, feeds: readonly Feed[] = ALL, inRow = 2) => {
    for (const watch of feeds) {
      const failure = new ApiFailure(reason, `${reason} of ${FEEDS[watch]}`, { remedy: "mend it" });
      troubles.failed({ watch, resource: FEEDS[watch], failure, inRow });
    }
  };
  const recover = (feeds: readonly Feed[] = ALL) => {
    for (const watch of feeds) troubles.current(watch);
  };
  return { lines, fail, recover, troubles };
}

const LOST = (reason: string, of: string, watch?: string) =>
  `lost ${JSON.stringify({ ...(watch && { watch }), reason, detail: `${reason} of ${of}`, remedy: "mend it" })}`;
const OVER = (...words: string[]) => JSON.stringify({ over: words.map((each) => `${each}; mend it`) });

test("a server that is away is one line for all watches, and one when the last of them is back", () => {
  const { lines, fail, recover } = started();

  for (let i = 0; i < 23; i++) fail("refused");
  recover(["pods", "services"]);
  fail("refused", ["nodes"]);
  recover();

  expect(lines).toEqual([LOST("refused", "pods"), `names are current again ${OVER("refused: refused of pods")}`]);
});

test("a trouble that becomes another is a line more, and each has its end", () => {
  const { lines, fail, recover } = started();

  fail("refused");
  fail("unauthorized");
  fail("refused");
  recover();

  expect(lines).toEqual([
    LOST("refused", "pods"),
    LOST("unauthorized", "pods"),
    `a trouble with the API server is over ${OVER("unauthorized: unauthorized of pods")}`,
    `names are current again ${OVER("refused: refused of pods")}`,
  ]);
});

test("a resource that is forbidden is a line of its own, also where two feeds read it, and outlasts the others", () => {
  const { lines, fail, recover } = started();

  fail("forbidden", ["local-pods", "pods", "nodes"]);
  fail("refused", ["services"]);
  recover(["services"]);
  fail("refused", ["services"]);
  recover(["services", "nodes", "pods"]);
  recover(["local-pods"]);

  expect(lines).toEqual([
    LOST("forbidden", "pods", "local-pods"),
    LOST("forbidden", "nodes", "nodes"),
    LOST("refused", "services"),
    `a trouble with the API server is over ${OVER("refused: refused of services")}`,
    LOST("refused", "services"),
    `a trouble with the API server is over ${OVER("refused: refused of services")}`,
    `a trouble with the API server is over ${OVER("forbidden: forbidden of nodes")}`,
    `names are current again ${OVER("forbidden: forbidden of pods")}`,
  ]);
});

test("a connection that breaks and comes back at once is not told, one that breaks again is", () => {
  const { lines, fail, recover } = started();

  fail("closed", ALL, 1);
  recover();
  fail("closed", ALL, 1);
  fail("closed", ALL, 2);
  recover();

  expect(lines).toEqual([LOST("closed", "pods"), `names are current again ${OVER("closed: closed of pods")}`]);
});

test("a server without watch-list is told once", () => {
  const { lines, troubles } = started();

  for (const _ of ALL) troubles.noWatchList("400");

  expect(lines).toEqual(['the API server has no watch-list; listing instead {"detail":"400"}']);
});
