/** Programs of which tests of the checks tell one number wrongly after the other. */
import { type Program, parseProgram } from "./program.ts";

/** One connection of puppet a to a listener of puppet b: 1009 bytes up, 23 down; the client closes first. */
const ONE_CONNECTION = `
  b sock 0 4
  b bind 0 127.0.0.1 8000
  b listen 0 16
  a sock 1 4
  a connect 1 127.0.0.1 8000
  b accept 0 2
  a send 1 1009
  b recv 2 1009
  b send 2 23
  a recv 1 23
  a close 1
  b recv 2 1
  b close 2
`;

export const PLAIN_CONNECTION: Program = parseProgram(ONE_CONNECTION);

/** One connection of each kind of end: in order, reset, refused, given up. */
export const PLAIN: Program = parseProgram(`${ONE_CONNECTION}
  a sock 3 4 linger=0
  a connect 3 127.0.0.1 8000
  b accept 0 4
  a send 3 509
  a close 3
  b close 4
  a sock 5 4
  a connect 5 127.0.0.1 8001
`);

/** One that ends before the first barrier, one that goes on behind both, one that begins there, and a refused one. */
export const PLAIN_GAP: Program = parseProgram(`
  ${ONE_CONNECTION}
  a sock 3 4
  a connect 3 127.0.0.1 8000
  b accept 0 4
  a send 3 509
  b recv 4 509
  a settle 3 60
  . barrier
  . barrier
  a send 3 101
  b recv 4 101
  b send 4 23
  a recv 3 23
  a close 3
  b recv 4 1
  b close 4
  a sock 5 4
  a connect 5 127.0.0.1 8000
  b accept 0 6
  a send 5 47
  b recv 6 47
  a close 5
  b recv 6 1
  b close 6
  a sock 7 4
  a connect 7 127.0.0.1 8001
`);
