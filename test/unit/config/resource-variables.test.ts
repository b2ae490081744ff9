/** OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME in every form, against what the stock OTel JS detector reads. */
import { envDetector } from "@opentelemetry/resources";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { load } from "./given.ts";

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_")) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function stock(env: Record<string, string>): unknown {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  return envDetector.detect().attributes;
}

const ours = (env: Record<string, string>) => ({ ...load({ env }).settings.resource.attributes });
const attributes = (text: string) => ({ OTEL_RESOURCE_ATTRIBUTES: text });

describe("are read alike", () => {
  test.each([
    ...["a=1", "a=1,b=2", " a = 1 , b = 2 ", "a=1,", "a=", "a=%2C%3D", "a%3Db=1", "a=1,a=2", "", " ", "a=ä", "a=x y"],
    ...["a", "=1", "a=1,b", "a=%zz"],
  ])("OTEL_RESOURCE_ATTRIBUTES=%s", (text) => {
    expect(ours(attributes(text))).toEqual(stock(attributes(text)));
  });

  test.each(["watcher", " ", "", "a,b=c"])("OTEL_SERVICE_NAME=%s", (name) => {
    const env = { OTEL_SERVICE_NAME: name, OTEL_RESOURCE_ATTRIBUTES: "service.name=loses,a=1" };

    expect(ours(env)).toEqual(stock(env));
  });
});

describe("are read otherwise", () => {
  test("an equals sign in a value is part of it; the stock detector discards all", () => {
    expect([ours(attributes("a=b=c,d=1")), stock(attributes("a=b=c,d=1"))]).toEqual([{ a: "b=c", d: "1" }, {}]);
  });

  test("a value may be longer than 255 characters; the stock detector discards all", () => {
    const text = "x".repeat(256);

    expect([ours(attributes(`a=${text},d=1`)), stock(attributes(`a=${text},d=1`))]).toEqual([{ a: text, d: "1" }, {}]);
  });

  test("white space around a name is left out", () => {
    const env = { OTEL_SERVICE_NAME: " watcher " };

    expect([ours(env), stock(env)]).toEqual([{ "service.name": "watcher" }, { "service.name": " watcher " }]);
  });
});
