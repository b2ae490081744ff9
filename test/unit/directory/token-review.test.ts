/** Agents that show tokens of their service account to a directory that asks the API server about them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Review } from "../../../agent/kubernetes/token-review.ts";
import { pod } from "../naming/cluster-builders.ts";
import { eventually, nowMs, startAsking, startServing } from "./serving.ts";

const cart = pod("cart-a", { addresses: ["10.1.0.2"], createdMs: 1000 });
const ACCOUNT = "flowspan/flowspan";

/** @param answers of the API server by token; what is missing is an API server that is away */
async function world(answers: Map<string, Review>, limits = {}) {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-review-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, "of-the-agent");
  const review = async (token: string) => {
    const answer = answers.get(token);
    if (answer === undefined) throw new Error("connect ECONNREFUSED");
    return answer;
  };
  const reviews = { audience: "flowspan-directory", accounts: [ACCOUNT], review, nowMs, limits };
  const serving = await startServing({ reviews });
  serving.put("pods", cart);
  const asking = startAsking([serving.address], { tokenFile });
  asking.ask("10.1.0.2");
  return { serving, asking, tokenFile };
}

test("an agent of the node that its token is of gets answers", async () => {
  const { asking } = await world(new Map([["of-the-agent", { account: ACCOUNT, node: "node-1" }]]));

  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));
});

test("a token of another node's agent is refused by both nodes' names, and counted", async () => {
  const { asking, serving } = await world(new Map([["of-the-agent", { account: ACCOUNT, node: "node-2" }]]));

  await eventually(() =>
    expect(JSON.stringify(asking.logged)).toContain("the token is of a pod on node-2, and the Ask of node-1"),
  );
  expect(asking.pods()).toEqual({});
  await eventually(() => expect(serving.server.stats().refusals.PERMISSION_DENIED).toBeGreaterThan(0));
});

test("a token that the API server does not accept is refused with its reason, and counted", async () => {
  const { asking, serving } = await world(new Map([["of-the-agent", { refused: "token has expired" }]]));

  await eventually(() => expect(JSON.stringify(asking.logged)).toContain("token has expired"));
  expect(asking.pods()).toEqual({});
  await eventually(() => expect(serving.server.stats().refusals.UNAUTHENTICATED).toBeGreaterThan(0));
});

test("no token at all is refused", async () => {
  const review = () => Promise.reject(new Error("nobody asks"));
  const serving = await startServing({ reviews: { audience: "a", accounts: [ACCOUNT], review, nowMs } });
  const asking = startAsking([serving.address]);

  await eventually(() => expect(JSON.stringify(asking.logged)).toContain("wants a bearer token"));
});

test("a stream whose token ceases to count ends, and goes on with the agent's next token", async () => {
  const answers = new Map<string, Review>([["of-the-agent", { account: ACCOUNT, node: "node-1" }]]);
  const { asking, serving, tokenFile } = await world(answers, { acceptedMs: 50, refusedMs: 50 });
  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));

  answers.set("of-the-agent", { refused: "the pod was deleted" });
  await eventually(() => expect(JSON.stringify(asking.logged)).toContain("the pod was deleted"));
  expect(serving.server.stats().streams).toBe(0);
  answers.set("renewed", { account: ACCOUNT, node: "node-1" });
  writeFileSync(tokenFile, "renewed");

  await eventually(() => expect(serving.server.stats().streams).toBe(1));
});

test("a stream that was let in goes on while the API server is away, and no new one comes", async () => {
  const answers = new Map<string, Review>([["of-the-agent", { account: ACCOUNT, node: "node-1" }]]);
  const { asking, serving, tokenFile } = await world(answers, { acceptedMs: 20 });
  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));

  answers.clear();
  // Not with the first one's token: until its time ends that is let in.
  const another = `${tokenFile}-of-another`;
  writeFileSync(another, "of-another-agent");
  const other = startAsking([serving.address], { tokenFile: another });
  await eventually(() => expect(JSON.stringify(other.logged)).toContain("cannot be asked about this token"));
  const bill = pod("bill-b", { addresses: ["10.1.0.2"], createdMs: 2000 });
  serving.remove("pods", cart.uid);
  serving.put("pods", bill);

  // By the first stream: it was asked about again several times.
  await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "bill-b" }));
  expect(serving.server.stats().refusals.UNAVAILABLE).toBeGreaterThan(0);
});
