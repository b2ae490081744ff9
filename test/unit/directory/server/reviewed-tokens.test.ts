/** What the API server said of a token: for whom it counts, how long, how much is kept, and what happens without it. */
import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { ReviewedTokens, type ReviewLimits } from "../../../../agent/directory/server/reviewed-tokens.ts";
import type { Review } from "../../../../agent/kubernetes/token-review.ts";

const POD = { account: "flowspan/flowspan", node: "node-1" };

/** An API server at the edge: `answers` by token, all asked ones in `asked`. */
function reviewing(limits: Partial<ReviewLimits> = {}) {
  const clock = { nowMs: 0 };
  const asked: string[] = [];
  const answers = new Map<string, Review | Error>();
  const logged: string[] = [];
  const log = {
    info: (_: object, message: string) => logged.push(message),
    warn: (_: object, message: string) => logged.push(message),
  };
  const tokens = new ReviewedTokens({
    audience: "flowspan-directory",
    accounts: ["flowspan/flowspan"],
    nowMs: () => clock.nowMs,
    log,
    limits,
    async review(token) {
      asked.push(token);
      const answer = answers.get(token) ?? { refused: "no such token" };
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { tokens, clock, asked, answers, logged };
}

test("an accepted token is asked about once, until its time is over", async () => {
  const { tokens, clock, asked, answers } = reviewing({ acceptedMs: 1000 });
  answers.set("a", POD);

  expect(await Promise.all([tokens.judge("a"), tokens.judge("a")])).toEqual([{ pod: POD }, { pod: POD }]);
  clock.nowMs = 999;
  expect(await tokens.judge("a")).toEqual({ pod: POD });
  expect(asked).toEqual(["a"]);

  // Its pod was deleted meanwhile.
  answers.set("a", { refused: "pod is gone" });
  clock.nowMs = 1000;
  expect(await tokens.judge("a")).toEqual({
    refusal: {
      code: status.UNAUTHENTICATED,
      details: "the API server does not accept the token for the audience flowspan-directory: pod is gone",
    },
  });
  expect(asked).toEqual(["a", "a"]);
});

test("a refused token is asked about again soon", async () => {
  const { tokens, clock, asked, answers } = reviewing({ refusedMs: 10 });

  await tokens.judge("b");
  clock.nowMs = 9;
  await tokens.judge("b");
  answers.set("b", POD);
  clock.nowMs = 10;

  expect(await tokens.judge("b")).toEqual({ pod: POD });
  expect(asked).toEqual(["b", "b"]);
});

test("a token of another service account is refused by the account's name", async () => {
  const { tokens, answers } = reviewing();
  answers.set("c", { account: "shop/cart", node: "node-1" });

  expect(await tokens.judge("c")).toEqual({
    refusal: { code: status.PERMISSION_DENIED, details: "shop/cart is none of directory.service_accounts" },
  });
});

test("without the API server an accepted token counts until its time is over, which is logged once", async () => {
  const { tokens, clock, answers, logged } = reviewing({ acceptedMs: 1000 });
  answers.set("a", POD);
  await tokens.judge("a");
  for (const token of ["a", "d"]) answers.set(token, new Error("connect ECONNREFUSED"));

  const unavailable = {
    refusal: { code: status.UNAVAILABLE, details: "the API server cannot be asked about this token: come again" },
  };
  expect(await tokens.judge("d")).toEqual(unavailable);
  expect(await tokens.judge("a")).toEqual({ pod: POD });
  clock.nowMs = 1000;
  expect(await tokens.judge("a")).toEqual(unavailable);
  answers.set("a", POD);
  expect(await tokens.judge("a")).toEqual({ pod: POD });

  expect(logged).toEqual([
    "tokens cannot be reviewed: those accepted lately are let in, no others",
    "tokens are reviewed again",
  ]);
});

test("many wrong tokens push out no right one, and little of either kind is kept", async () => {
  const { tokens, asked, answers } = reviewing({ kept: 3 });
  answers.set("a", POD);
  await tokens.judge("a");

  for (let i = 0; i < 23; i++) await tokens.judge(`wrong-${i}`);
  await tokens.judge("a");
  await tokens.judge("wrong-22");
  await tokens.judge("wrong-0");

  expect(asked.filter((token) => token === "a")).toEqual(["a"]);
  expect(asked.filter((token) => token === "wrong-22")).toHaveLength(1);
  expect(asked.filter((token) => token === "wrong-0")).toHaveLength(2);
});

test("only so many are asked about at once: the next are told to come again", async () => {
  const { tokens, asked } = reviewing({ asking: 2 });

  const verdicts = await Promise.all(["x", "y", "z"].map((token) => tokens.judge(token)));

  expect(asked).toEqual(["x", "y"]);
  expect(verdicts.map((verdict) => "refusal" in verdict && verdict.refusal.code)).toEqual([
    status.UNAUTHENTICATED,
    status.UNAUTHENTICATED,
    status.UNAVAILABLE,
  ]);
});
