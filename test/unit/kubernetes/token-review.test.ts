/** The API server's answers to a TokenReview, and what is made of them; test/e2e/token-review.test.ts asks a real one. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { Connection } from "../../../agent/kubernetes/connection.ts";
import { readReview, reviewToken } from "../../../agent/kubernetes/token-review.ts";

const AUDIENCE = "flowspan-directory";
const NODE = "authentication.kubernetes.io/node-name";

const accepted = {
  authenticated: true,
  audiences: [AUDIENCE],
  user: { username: "system:serviceaccount:flowspan:flowspan", extra: { [NODE]: ["node-1"] } },
};
const read = (status: unknown) => readReview(JSON.stringify({ kind: "TokenReview", status }), AUDIENCE);

test("an accepted token is its service account's, on the node that it was made for", () => {
  expect(read(accepted)).toEqual({ account: "flowspan/flowspan", node: "node-1" });
  expect(read({ ...accepted, user: { username: accepted.user.username } })).toEqual({
    ...{ account: "flowspan/flowspan", node: undefined },
  });
});

test.each([
  ["that the server refuses", { error: "service account token has expired" }, "service account token has expired"],
  ["that the server does not know", {}, "the API server does not know it"],
  // As an API server answers that takes all tokens for all audiences.
  ["without an audience", { ...accepted, audiences: undefined }, "it is for another audience"],
  ["for another audience", { ...accepted, audiences: ["vault"] }, "it is for another audience"],
  ["of a person", { ...accepted, user: { username: "alice" } }, "it is of no service account"],
  ["whose user only looks like one", { ...accepted, user: { username: "x:system:serviceaccount:a:b" } }, "it is of no"],
])("a token %s is refused, with the reason", (_, status, reason) => {
  expect(read(status)).toEqual({ refused: expect.stringContaining(reason) });
});

test.each(["", "no JSON", "{}", "[]", "null"])("an answer that is no TokenReview is a failure: %s", (answer) => {
  expect(() => readReview(answer, AUDIENCE)).toThrow("the answer is no TokenReview");
});

async function api(status: number, answer: string) {
  const asked: { method: string | undefined; url: string | undefined; body: unknown }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    asked.push({ method: request.method, url: request.url, body: JSON.parse(Buffer.concat(chunks).toString()) });
    response.writeHead(status).end(answer);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const origin = { server: "the test", ca: "", tlsName: "", user: "the test" };
  const connection: Connection = {
    description: "a test's",
    credentials: async () => ({ server: url, options: { headers: { authorization: "Bearer own" } }, origin }),
    refused() {},
    close() {},
  };
  return { asked, connection };
}

test("one request asks for the token and the audience", async () => {
  const { asked, connection } = await api(201, JSON.stringify({ status: accepted }));

  const review = await reviewToken(connection, "of-an-agent", AUDIENCE);

  expect(review).toEqual({ account: "flowspan/flowspan", node: "node-1" });
  expect(asked).toEqual([
    {
      method: "POST",
      url: "/apis/authentication.k8s.io/v1/tokenreviews",
      body: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: { token: "of-an-agent", audiences: [AUDIENCE] },
      },
    },
  ]);
});

test("without the right to ask, the failure names the verb and the resource", async () => {
  const { connection } = await api(403, JSON.stringify({ message: "forbidden" }));

  const failure = await reviewToken(connection, "of-an-agent", AUDIENCE).catch((error) => error);

  expect([failure.reason, failure.words]).toEqual(["forbidden", expect.stringContaining("create")]);
  expect(failure.words).toContain("tokenreviews");
  expect(failure.words).not.toContain("of-an-agent");
});
