/**
 * What each mode may read, on a real kube-apiserver that has no watch-list, as older ones: the shipped role is
 * enough and no verb of it is too many. An agent with one verb less says which, and goes on with the rest.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, type TestContext, test, vi } from "vitest";
import { FEEDS_OF, MODES, type Mode, type PolicyRule, READS } from "../../agent/kubernetes/reads.ts";
import { type ClusterWatch, watchCluster } from "../../agent/kubernetes/watch-cluster.ts";
import type { Feed } from "../../agent/model/cluster-objects.ts";
import { readiness } from "../../agent/telemetry/health.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { namespaceObject, podObject } from "../kubernetes/kubernetes-objects.ts";
import { shippedRoles } from "../unit/kubernetes/shipped-roles.ts";
import { adminToken, send } from "./manifests.ts";
import { podConnection } from "./naming-agent.ts";

const STARTUP_MS = 120_000;
const WAIT = { timeout: 60_000, interval: 50 };
/** More than one page, and a prime. */
const PODS = 523;

let kube: Kube;
let directory: string;

beforeAll(async () => {
  kube = await startKube("--feature-gates=WatchList=false");
  directory = await mkdtemp(join(tmpdir(), "flowspan-access-"));
  await kube.admin.create(namespaceObject("flowspan"));
}, STARTUP_MS);

afterAll(async () => {
  await kube?.stop();
  if (directory !== undefined) await rm(directory, { recursive: true });
});

async function post(path: string, object: object): Promise<{ status?: { token?: string } }> {
  const answer = await send(kube, adminToken(kube), "POST", path, object);
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body) as { status?: { token?: string; allowed?: boolean } };
}

const RBAC = "rbac.authorization.k8s.io";

/** An account that may do this and nothing else. @returns a directory with its token and the CA */
async function account(name: string, rules: readonly PolicyRule[]): Promise<string> {
  const accounts = "/api/v1/namespaces/flowspan/serviceaccounts";
  await post(accounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } });
  const apiVersion = `${RBAC}/v1`;
  await post(`/apis/${RBAC}/v1/clusterroles`, { apiVersion, kind: "ClusterRole", metadata: { name }, rules });
  await post(`/apis/${RBAC}/v1/clusterrolebindings`, {
    ...{ apiVersion, kind: "ClusterRoleBinding", metadata: { name } },
    roleRef: { apiGroup: RBAC, kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", name, namespace: "flowspan" }],
  });
  await authorized(name, rules);
  const wanted = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
  const { status } = await post(`${accounts}/${name}/token`, wanted);
  const secrets = await mkdtemp(join(directory, "account-"));
  await writeFile(join(secrets, "token"), status?.token ?? "");
  await writeFile(join(secrets, "ca.crt"), await readFile(kube.caFile));
  return secrets;
}

/** The API server learns of a binding by a watch of its own, a moment after it was made. */
async function authorized(name: string, rules: readonly PolicyRule[]): Promise<void> {
  const rule = rules[0];
  if (rule === undefined) return;
  const resourceAttributes = { verb: rule.verbs[0], group: rule.apiGroups?.[0], resource: rule.resources?.[0] };
  const spec = { user: `system:serviceaccount:flowspan:${name}`, resourceAttributes };
  await vi.waitFor(async () => {
    const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    const { status } = await post(path, { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec });
    expect(status).toMatchObject({ allowed: true });
  }, 10_000);
}

/** Log lines are kept in `lines`; it ends with the test. */
function watchAs({ onTestFinished }: TestContext, mode: Mode, secrets: string, lines: object[] = []): ClusterWatch {
  const watch = watchCluster({
    connection: podConnection(Number(new URL(kube.server).port), secrets),
    nodeName: "node-1",
    scope: "all",
    feeds: FEEDS_OF[mode],
    ...{ wellKnownLabels: false, podLabels: [], podAnnotations: [] },
    onChange: () => undefined,
    log: { info() {}, warn: (fields) => lines.push(fields) },
  });
  onTestFinished(() => watch.stop());
  return watch;
}

function roleOf(mode: Mode): readonly PolicyRule[] {
  const role = shippedRoles().find((each) => each.mode === mode);
  if (role === undefined) throw new Error(`deploy/ has no role for ${mode}`);
  return role.rules;
}

interface Missing {
  readonly mode: Mode;
  readonly verb: string;
  readonly resource: string;
}

const CASES: readonly Missing[] = MODES.flatMap((mode) =>
  roleOf(mode).flatMap(({ verbs, resources }) =>
    resources.flatMap((resource) => verbs.map((verb) => ({ mode, verb, resource }))),
  ),
);

function without(rules: readonly PolicyRule[], verb: string, resource: string): PolicyRule[] {
  return rules.flatMap((rule) => {
    if (!rule.resources.includes(resource)) return [rule];
    const others = { ...rule, resources: rule.resources.filter((each) => each !== resource) };
    const less = { ...rule, resources: [resource], verbs: rule.verbs.filter((each) => each !== verb) };
    return [others, less].filter(({ resources, verbs }) => resources.length > 0 && verbs.length > 0);
  });
}

const HEALTHY = { nowMs: 1, startedMs: 0, lastTurnMs: 1, lastExchangeMs: 1, intervalMs: 1000, trouble: undefined };

describe.each(MODES)("the role of %s", (mode) => {
  test("is enough", async (context) => {
    const watch = watchAs(context, mode, await account(`whole-${mode}`, roleOf(mode)));

    await vi.waitFor(() => expect(watch.states().every(({ current }) => current)).toBe(true), WAIT);

    const states = watch.states().map(({ name, watchList, failures }) => ({ name, watchList, failures }));
    expect(states).toEqual(FEEDS_OF[mode].map((name) => ({ name, watchList: false, failures: {} })));
    expect(readiness({ ...HEALTHY, metadata: watch.states() }).ok).toBe(true);
  });

  test.concurrent.for(CASES.filter((each) => each.mode === mode))(
    "is not enough without $verb of $resource, and that is said",
    async ({ verb, resource }, context) => {
      const rules = without(roleOf(mode), verb, resource);
      const lines: { watch?: Feed; reason?: string }[] = [];
      const watch = watchAs(context, mode, await account(`no-${verb}-${resource}-${mode}`, rules), lines);
      const hit = FEEDS_OF[mode].filter((feed) => READS[feed].resource === resource);

      await vi.waitFor(() => {
        for (const { name, current, failures } of watch.states()) {
          if (hit.includes(name as Feed)) expect(failures.forbidden).toBeGreaterThanOrEqual(1);
          else expect(current).toBe(true);
        }
      }, WAIT);

      const states = watch.states();
      expect(states.filter(({ trouble }) => trouble !== undefined).map(({ name }) => name)).toEqual(hit);
      const cause = `cannot ${verb} resource "${resource}"`;
      const remedy = `apply deploy/manifests; kubectl auth can-i ${verb} ${resource} --as=system:serviceaccount:flowspan:`;
      const { ok, checks } = readiness({ ...HEALTHY, metadata: states });
      const detail = checks.find(({ name }) => name === "names")?.detail ?? "";
      expect(ok).toBe(false);
      // Feeds that read the same resource have the same trouble.
      expect(detail.startsWith(`${hit.join(", ")}: not read yet`)).toBe(true);
      for (const part of [cause, remedy]) expect(detail.split(part).length - 1).toBe(1);
      expect(lines).toEqual([expect.objectContaining({ watch: expect.toBeOneOf(hit), reason: "forbidden" })]);
    },
  );
});

test(
  "a list of more than one page, and one of the own node's pods alone, are read whole, and changes come",
  async (context) => {
    const pods = Array.from({ length: PODS }, (_, i) => {
      const { status: _status, ...pod } = podObject({ name: `pod-${i}`, namespace: "flowspan", node: "node-1" });
      return pod;
    });
    const queue = pods.values();
    const writers = Array.from({ length: 8 }, async () => {
      for (const pod of queue) await kube.admin.create(pod);
    });
    await Promise.all(writers);
    const watch = watchAs(context, "watch", await account("pages", roleOf("watch")));
    const states = () => watch.states().filter(({ name }) => READS[name as Feed].resource === "pods");
    const both = (expected: object) => ["local-pods", "pods"].map((name) => ({ name, ...expected }));
    await vi.waitFor(() => expect(states()).toMatchObject(both({ current: true, objects: PODS })), WAIT);

    await kube.admin.delete(pods[0] as (typeof pods)[number]);

    const expected = both({ objects: PODS - 1, lists: 2, failures: {} });
    await vi.waitFor(() => expect(states()).toMatchObject(expected), WAIT);
  },
  STARTUP_MS,
);

test("a list that must not be older than a version of the future is refused in a way that ends in a new one", async () => {
  const query = "fieldSelector=spec.nodeName%3Dnode-1&resourceVersion=999999999&resourceVersionMatch=NotOlderThan";

  const { status, body } = await send(kube, adminToken(kube), "GET", `/api/v1/pods?${query}`);

  // Three of them do, as agent/kubernetes/watch.ts says.
  expect([status, JSON.parse(body).message]).toEqual([504, expect.stringContaining("Too large resource version")]);
});
