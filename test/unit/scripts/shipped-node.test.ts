import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MALLOC_ENV, NODE_FLAGS } from "../../components/shipped-node.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

test("the image starts Node with the flags and the environment that benchmarks and tests go by", () => {
  const dockerfile = read("deploy/Dockerfile");

  const entry = /^ENTRYPOINT (\[.*"\/app\/agent\.mjs"\])$/m.exec(dockerfile)?.[1] ?? "[]";
  expect(JSON.parse(entry)).toEqual(["node", ...NODE_FLAGS, "/app/agent.mjs"]);
  const env = [...dockerfile.matchAll(/\b(MALLOC_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]);
  expect(Object.fromEntries(env)).toEqual(MALLOC_ENV);
});

test("so does ./flowspan", () => {
  const script = read("flowspan");

  expect(script).toContain('set -- "$here/build/agent.mjs" "$@"');
  expect(script).toContain(`set -- "$node" ${NODE_FLAGS.join(" ")} "$@"`);
  const env = [...script.matchAll(/^export (MALLOC_\w+)="\$\{\1:-(\d+)\}"$/gm)].map(([, name, value]) => [name, value]);
  expect(Object.fromEntries(env)).toEqual(MALLOC_ENV);
});
