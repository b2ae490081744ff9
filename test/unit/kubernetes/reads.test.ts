/** What is read and what is granted are one list. */
import { expect, test } from "vitest";
import { FEEDS_OF, MODES, resourceOf, rulesOf } from "../../../agent/kubernetes/reads.ts";
import { feedsOf } from "../../../agent/kubernetes/watch-cluster.ts";
import { FEEDS } from "../../../agent/model/cluster-objects.ts";
import { shippedRoles } from "./shipped-roles.ts";
import { TRIM } from "./watching.ts";

test("each mode has a shipped role, which grants exactly what the mode reads", () => {
  const roles = shippedRoles();

  expect(roles.map(({ mode }) => mode).sort()).toEqual([...MODES].sort());
  expect(roles.map(({ file, rules }) => ({ file, rules }))).toEqual(
    roles.map(({ file, mode }) => ({ file, rules: mode && rulesOf(mode) })),
  );
});

test("an agent with a directory may read pods and nothing else", () => {
  expect(rulesOf("agent-with-directory")).toEqual([{ apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] }]);
});

test("the directory reads what an agent without one reads, but for the pods that are its own", () => {
  expect([...FEEDS_OF.directory, "local-pods"].sort()).toEqual([...FEEDS_OF.watch].sort());
});

test("every feed is asked for where the API has it", () => {
  const requests = FEEDS.map((feed) => resourceOf(feed, "node-1", TRIM)).map(({ path, query }) => [path, query]);

  expect(requests).toEqual([
    ["/api/v1/pods", { fieldSelector: "spec.nodeName=node-1" }],
    ["/api/v1/pods", {}],
    ["/api/v1/services", {}],
    ["/apis/discovery.k8s.io/v1/endpointslices", {}],
    ["/api/v1/nodes", {}],
    ["/api/v1/namespaces", { fieldSelector: "metadata.name=kube-system" }],
  ]);
});

test("the scope that has only the own node's pods reads all else too", () => {
  expect(feedsOf("own-node")).toEqual(feedsOf("all").filter((feed) => feed !== "pods"));
});
