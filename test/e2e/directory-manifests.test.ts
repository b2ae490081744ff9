/**
 * deploy/manifests/directory on a real kube-apiserver: accepted as it is beside deploy/manifests, changing of
 * those what it says, granting exactly what the directory and its agents read.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { readConfigFile } from "../../agent/config/file.ts";
import { loadSchemaCheck } from "../../agent/config/load.ts";
import { rulesOf } from "../../agent/kubernetes/reads.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { adminToken, apply, MANIFESTS, type Manifest, manifest, manifests, podOf, send } from "./manifests.ts";

const DIRECTORY = join(MANIFESTS, "directory");
const read = <T>(file: string) => parse(readFileSync(join(DIRECTORY, file), "utf8")) as Manifest & T;
const { resources, patches } = read<{ resources: string[]; patches: { path: string }[] }>("kustomization.yaml");
const patch = <T>(name: string) => read<T>(`agent-${name}.patch.yaml`);

interface Config {
  readonly data: { readonly "flowspan.yaml": string };
}

test("the component names every one of its files", () => {
  const files = readdirSync(DIRECTORY).filter((file) => file !== "kustomization.yaml");

  expect([...resources, ...patches.map(({ path }) => path)].sort()).toEqual(files.sort());
});

test("directory and agents with it may read exactly what they watch", () => {
  const agent = patch<{ rules: object[] }>("cluster-role");
  expect(read<{ rules: object[] }>("cluster-role.yaml").rules).toEqual(rulesOf("directory"));
  expect(agent.rules).toEqual(rulesOf("agent-with-directory"));
  expect(agent.metadata).toEqual(manifest("ClusterRole").metadata);
});

test("the agents' configuration is the one without a directory, but for where peers come from", async () => {
  const text = patch<Config>("config-map").data["flowspan.yaml"];
  const { distribution, ...rest } = parse(text);
  const { kubernetes, directory, ...flowspan } = distribution.flowspan;

  expect({ ...rest, distribution: { flowspan } }).toEqual(parse(manifest<Config>("ConfigMap").data["flowspan.yaml"]));
  expect(await problemsOf(text)).toEqual([]);
  expect({ kubernetes, directory }).toEqual({
    kubernetes: { metadata: "directory" },
    directory: {
      addresses: ["flowspan-directory.flowspan.svc:9483"],
      ca_file: "/etc/flowspan-directory/ca.crt",
      token_file: "/etc/flowspan-directory/token",
    },
  });
});

test("the directory's configuration is one that it takes", async () => {
  expect(await problemsOf(read<Config>("config-map.yaml").data["flowspan.yaml"])).toEqual([]);
});

async function problemsOf(text: string): Promise<readonly unknown[]> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-deploy-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "flowspan.yaml");
  writeFileSync(file, text);
  const { problems, warnings } = readConfigFile(file, { HOST_IP: "192.0.2.1" }, await loadSchemaCheck());
  return [...problems, ...warnings];
}

describe("on a real API server", () => {
  let kube: Kube;
  beforeAll(async () => {
    kube = await startKube();
    for (const object of manifests()) await apply(kube, object, { dryRun: false });
  });
  afterAll(() => kube?.stop());

  test("every object is created, after a server-side dry run that says the same", async () => {
    const answers: [kind: string, status: number, body: string][] = [];
    for (const file of resources) {
      for (const dryRun of [true, false]) {
        const { status, body } = await apply(kube, read(file), { dryRun });
        answers.push([read(file).kind, status, status === 201 ? "" : body]);
      }
    }

    expect(answers).toEqual(resources.flatMap((file) => [1, 2].map(() => [read(file).kind, 201, ""])));
  });

  test.each([
    ["cluster-role", "/apis/rbac.authorization.k8s.io/v1/clusterroles/flowspan"],
    ["config-map", "/api/v1/namespaces/flowspan/configmaps/flowspan"],
    ["daemon-set", "/apis/apps/v1/namespaces/flowspan/daemonsets/flowspan"],
  ])("the change of the agent's %s is one that the object takes", async (name, path) => {
    const query = "?fieldManager=flowspan-test&fieldValidation=Strict";
    const type = "application/strategic-merge-patch+json";

    const { status, body } = await send(kube, adminToken(kube), "PATCH", path + query, patch(name), type);

    expect([status, status === 200 ? "" : body]).toEqual([200, ""]);
    if (name !== "daemon-set") return;
    const { containers } = JSON.parse(body).spec.template.spec as { containers: Container[] };
    const mounted = containers.map((container) => [container.name, container.volumeMounts.map(({ name }) => name)]);
    const { container } = podOf("flowspan");
    const expected = [[container.name, ["directory", ...container.volumeMounts.map((mount) => mount.name)]]];
    expect(mounted).toEqual(expected);
  });
});

interface Container {
  readonly name: string;
  readonly volumeMounts: readonly { readonly name: string }[];
}
