/** The tables of rooms that `make check` holds agent/, bpf/ and what tests share against. */
import { expect, test } from "vitest";
import { C, circleIn, readRooms, roomProblems, TESTS } from "../../../scripts/rooms.ts";

const TABLE = `# A house

## The rooms

| room | what it holds | touches | may import |
|---|---|---|---|
| \`cellar/\` | wine | nothing | |
| \`kitchen/\` | food | fire | \`cellar/\` |
| \`bedroom/\` | beds | nothing | \`cellar/\` |
| \`hall/\` | doors | street | all of them |

### The rooms in C

| room | what it holds | may include |
|---|---|---|
| \`soil/\` | stones | |
| \`garden/\` | herbs | \`soil/\` |

### The rooms of the tests

| room | what it holds | may import |
|---|---|---|
| \`tools/\` | hammers | |
| \`site/ground/\` | earth | \`tools/\` |
| \`site/roof/\` | tiles | \`tools/\` \`site/ground/\` |

## Else
`;

const problemsOf = (files: Record<string, string>) => roomProblems(readRooms(TABLE), new Map(Object.entries(files)));

test("imports that the table allows are no problem", () => {
  const files = {
    "main.ts": 'import { open } from "./hall/door.ts";\n',
    "cellar/wine.ts": 'import { createHash } from "node:crypto";\nconst text = "from far away";\n',
    "kitchen/stove.ts": 'import { request } from "node:http";\nimport type { Wine } from "../cellar/wine.ts";\n',
    "bedroom/upper/bed.ts": 'import { x } from "../blanket.ts";\nimport { y } from "../../cellar/wine.ts";\n',
    "hall/door.ts": 'import { x } from "../kitchen/stove.ts";\nconst late = await import("../bedroom/upper/bed.ts");\n',
  };
  expect(problemsOf(files)).toEqual([]);
});

test.each([
  ["of a value", 'import { x } from "../kitchen/stove.ts";\n'],
  ["of a type", 'import type { X } from "../kitchen/stove.ts";\n'],
  ["over several lines", 'import {\n  x,\n} from "../kitchen/stove.ts";\n'],
  ["handed on", 'export { x } from "../kitchen/stove.ts";\n'],
  ["for its effect", 'import "../kitchen/stove.ts";\n'],
  ["made late", 'const x = await import("../kitchen/stove.ts");\n'],
])("an import that no row allows is one: %s", (_, text) => {
  expect(problemsOf({ "bedroom/bed.ts": text })).toEqual([
    "bedroom/bed.ts imports ../kitchen/stove.ts, but bedroom/ may not import kitchen/",
  ]);
});

test("a room that touches nothing has no sockets and no packages", () => {
  const text = 'import { connect } from "node:net";\nimport { pino } from "pino";\n';
  expect(problemsOf({ "cellar/pipe.ts": text })).toEqual([
    "cellar/pipe.ts imports node:net, but cellar/ touches nothing",
    "cellar/pipe.ts imports pino, but cellar/ touches nothing",
  ]);
});

test("two files of one name and a folder without a row are told", () => {
  expect(problemsOf({ "cellar/rack.ts": "", "kitchen/rack.ts": "", "attic/box.ts": "" })).toEqual([
    "kitchen/rack.ts has the name of cellar/rack.ts",
    "attic/box.ts: attic/ has no row",
  ]);
});

test("the table itself has no arrow back up", () => {
  const upwards = TABLE.replace("| wine | nothing | |", "| wine | nothing | `kitchen/` |");
  expect(() => readRooms(upwards)).toThrow("cellar/ may import kitchen/, which has no row above it");
});

test("a document without the table is told", () => {
  expect(() => readRooms("# A house\n")).toThrow("there is no table of rooms");
});

test("headers are held against a table of their own, by the path that they include", () => {
  const files = new Map([
    ["house.bpf.c", '#include "garden/thyme.h"\n'],
    ["soil/stone.h", '#include <stdbool.h>\n#include "garden/thyme.h"\n'],
    ["garden/thyme.h", '#include "soil/stone.h"\n#include "flowspan.skel.h"\n'],
  ]);
  expect(roomProblems(readRooms(TABLE, C.heading), files, C)).toEqual([
    "soil/stone.h imports garden/thyme.h, but soil/ may not import garden/",
  ]);
});

test("headers that include each other are told, however long the way", () => {
  const files = new Map([
    ["soil/a.h", '#include "soil/b.h"\n'],
    ["soil/b.h", '#include "soil/c.h"\n'],
    ["soil/c.h", '#include "soil/b.h"\n'],
  ]);
  expect(circleIn(files, C)).toEqual(["soil/b.h", "soil/c.h", "soil/b.h"]);
  files.set("soil/c.h", "");
  expect(circleIn(files, C)).toBeUndefined();
});

test("what tests share has rooms in rooms, may know the agent, and stands beside folders that are free", () => {
  const files = new Map([
    ["tools/hammer.ts", 'import { x } from "../../agent/main.ts";\n'],
    ["site/ground/earth.ts", 'import { x } from "../roof/tile.ts";\nimport { y } from "../../tools/hammer.ts";\n'],
    ["site/roof/tile.ts", 'import { x } from "../ground/earth.ts";\nimport { y } from "../../games/dice.ts";\n'],
    ["games/dice.ts", 'import { x } from "../site/roof/tile.ts";\n'],
    ["games/hammer.ts", ""],
  ]);
  expect(roomProblems(readRooms(TABLE, TESTS.heading), files, TESTS)).toEqual([
    "site/ground/earth.ts imports ../roof/tile.ts, but site/ground/ may not import site/roof/",
    "site/roof/tile.ts imports ../../games/dice.ts, but site/roof/ may not import games/",
  ]);
});
