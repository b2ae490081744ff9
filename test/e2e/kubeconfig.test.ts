/**
 * The same kubeconfigs, asked by kubectl and by us: what works there works here and what fails there fails here, and
 * servers and proxies see the same of us. kubectl is the one of the API server's own version.
 */
import { expect, test } from "vitest";
import { ROWS } from "./kubeconfig-rows.ts";
import { askKubectl, askUs, makeWorld } from "./kubeconfig-world.ts";

test.each(ROWS)("$what: as kubectl takes it", async ({ make }) => {
  const world = await makeWorld();
  const kubeconfig = make(world);

  const theirs = await askKubectl(world, kubeconfig);
  const ours = await askUs(world, kubeconfig);

  expect({ ...ours.verdict, words: ours.words }, theirs.words).toEqual({ ...theirs.verdict, words: ours.words });
});
