/** Lists and watch-lists of any size as pieces of text, sent no faster than the other end reads: no list is held as a whole. */
import type { ServerResponse } from "node:http";
import { bookmark, type Listing } from "./api-objects.ts";
import type { ApiObject } from "./kubernetes-objects.ts";

const PAGE_BYTES = 256 * 1024;

/** Writes no faster than the other end reads; ends early where that is gone. */
export async function stream(answer: ServerResponse, pieces: Iterable<string>): Promise<void> {
  let page = "";
  for (const piece of pieces) {
    page += piece;
    if (page.length < PAGE_BYTES) continue;
    if (!answer.write(page)) await drained(answer);
    page = "";
    if (answer.destroyed) return;
  }
  answer.write(page);
}

/** Or gone. */
function drained(answer: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => {
    for (const event of ["drain", "close"]) answer.off(event, done);
    resolve();
  };
  for (const event of ["drain", "close"]) answer.on(event, done);
  return promise;
}

export function* eachOf(objects: Listing, from = 0, end = objects.length): Iterable<ApiObject> {
  for (let i = from; i < end; i++) yield objects.at(i) as ApiObject;
}

export function* listOf(head: object, objects: Listing, from: number, end: number): Iterable<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"items":[`;
  let between = "";
  for (const object of eachOf(objects, from, end)) {
    yield between + JSON.stringify(object);
    between = ",";
  }
  yield "]}";
}

export function* addedOf(objects: Listing, kind: string, version: number): Iterable<string> {
  for (const object of eachOf(objects)) yield `${JSON.stringify({ type: "ADDED", object })}\n`;
  yield `${JSON.stringify(bookmark(kind, version, true))}\n`;
}
