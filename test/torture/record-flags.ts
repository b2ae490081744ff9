/** Bits of a connection record's flags, and errors of one, that the checks read. */
import { ConnectionFlag } from "../../agent/generated/layout.ts";

export const ADOPTED = 1 << ConnectionFlag.CONNECTION_ADOPTED;
export const RESET_SENT = 1 << ConnectionFlag.CONNECTION_RESET_SENT;
export const RESET_RECEIVED = 1 << ConnectionFlag.CONNECTION_RESET_RECEIVED;
export const UNSENT = 1 << ConnectionFlag.CONNECTION_NOT_SENT;
export const RESTORED = 1 << ConnectionFlag.CONNECTION_RESTORED;
export const CHECKPOINTED = 1 << ConnectionFlag.CONNECTION_CHECKPOINTED;

export const EADDRNOTAVAIL = 99;
/** Of a connect(): some kernels refuse a socket that has listened (bpf/tcp/attempts.h), when its state has changed already. */
export const EINVAL = 22;
