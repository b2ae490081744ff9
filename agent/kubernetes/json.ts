/**
 * Text of an answer → the value in it, or undefined where it is no JSON that an API server sends.
 *
 * Nesting is bounded before parsing: 4 MiB of brackets become 200 MiB of arrays, and overflow the stack of
 * whoever walks them. API objects are some ten levels deep, those with schemas inside some forty.
 */
const DEPTH_MAX = 200;
/** What is shorter cannot cost much, however deep; most objects are, and are not looked through twice. */
const SHALLOW_ENOUGH = 16 * 1024;

export function parseJson(text: string): unknown {
  if (text.length > SHALLOW_ENOUGH && isDeep(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the answer that was asked for: it is no JSON
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Counts brackets outside of strings. */
function isDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (OPENING.has(code)) depth++;
    else if (CLOSING.has(code)) depth--;
    if (depth > DEPTH_MAX) return true;
  }
  return false;
}

/** @returns where the string that begins at `start` has its closing quote; the text's length if nowhere */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}
