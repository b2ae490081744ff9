/**
 * Why a call is not let in: a gRPC status, and what to do about it.
 */
import { status } from "@grpc/grpc-js";

export interface Refusal {
  readonly code: status;
  /** Goes to the agent's log: no secret is in it. */
  readonly details: string;
}

export function refused(code: status, details: string): { readonly refusal: Refusal } {
  return { refusal: { code, details } };
}

export function unauthenticated(details: string): { readonly refusal: Refusal } {
  return refused(status.UNAUTHENTICATED, details);
}
