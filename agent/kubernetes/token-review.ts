/**
 * A bearer token → whose it is, as the API server says (TokenReview, authentication.k8s.io/v1).
 *
 * The token goes into one request, and nowhere else: not into logs, not into errors. Nothing is kept here.
 */
import type { Connection } from "./connection.ts";
import { ApiFailure } from "./failure.ts";
import { parseJson } from "./json.ts";
import { post, readText } from "./request.ts";
import { field, list, text } from "./trim.ts";

/** A pod that its token speaks for. */
export interface ReviewedPod {
  /** `NAMESPACE/NAME` of its service account. */
  readonly account: string;
  /** The node that the token was made for; undefined where the API server does not say so (before Kubernetes 1.30). */
  readonly node: string | undefined;
}

export type Review = ReviewedPod | { readonly refused: string };

const PATH = "/apis/authentication.k8s.io/v1/tokenreviews";
const SILENCE_MS = 5_000;
const MESSAGE_MAX = 200;
const USER = /^system:serviceaccount:([^:]+):([^:]+)$/;

/**
 * @param audience that the token must be for
 * @returns the pod, or why the API server does not accept the token
 * @throws ApiFailure where it cannot be asked
 */
export async function reviewToken(connection: Connection, token: string, audience: string): Promise<Review> {
  const body = {
    ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" },
    spec: { token, audiences: [audience] },
  };
  const signal = AbortSignal.timeout(4 * SILENCE_MS);
  const answer = await post(connection, { path: PATH, query: {}, silenceMs: SILENCE_MS, signal, body });
  return readReview(await readText(answer, SILENCE_MS), audience);
}

/** @throws ApiFailure where this is no TokenReview with a status */
export function readReview(answer: string, audience: string): Review {
  const status = field(parseJson(answer), "status");
  if (status === undefined) throw new ApiFailure("malformed", "the answer is no TokenReview");
  if (field(status, "authenticated") !== true) {
    return { refused: text(field(status, "error")).slice(0, MESSAGE_MAX) || "the API server does not know it" };
  }
  // An authenticator that knows no audiences accepts tokens for all, and names none.
  if (!list(field(status, "audiences")).includes(audience)) return { refused: "it is for another audience" };
  const user = field(status, "user");
  const [, namespace, name] = USER.exec(text(field(user, "username"))) ?? [];
  if (name === undefined) return { refused: "it is of no service account" };
  const [node] = list(field(field(user, "extra"), "authentication.kubernetes.io/node-name"));
  return { account: `${namespace}/${name}`, node: text(node) || undefined };
}
