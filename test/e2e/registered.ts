/**
 * A lab that a real API server knows, and the kubeconfig with which its agents read: with the shipped service
 * account's token and nothing more than the shipped roles grant.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kube } from "../components/kubernetes.ts";
import type { ApiObject } from "../kubernetes/kubernetes-objects.ts";
import { type Description, withUids } from "../lab/world/describe.ts";
import { labObjects } from "../lab/world/lab-objects.ts";
import { serviceAccountToken } from "./manifests.ts";

/** Puts the lab's objects into the cluster. @returns the lab under the uids that the server gave */
export async function register(kube: Kube, plain: Description): Promise<Description> {
  const uids = new Map<string, string>();
  const create = async (objects: readonly ApiObject[]) => {
    for (const object of objects) {
      const { metadata } = await kube.admin.create(object);
      uids.set(`${object.kind} ${metadata.namespace}/${metadata.name}`, metadata.uid ?? "");
    }
  };
  const isSlice = ({ kind }: ApiObject) => kind === "EndpointSlice";
  await create(
    labObjects(plain)
      .filter((object) => !isSlice(object))
      .map(singleStack),
  );
  const described = withUids(plain, (namespace, name) => uids.get(`Pod ${namespace}/${name}`) ?? "");
  await create(labObjects(described).filter(isSlice));
  return described;
}

/** The API server of the tests has one range of cluster addresses. */
function singleStack(object: ApiObject): ApiObject {
  if (object.kind !== "Service") return object;
  const spec = object.spec as { clusterIPs: string[] };
  return { ...object, spec: { ...spec, clusterIPs: spec.clusterIPs.slice(0, 1) } };
}

/** With the shipped service account's token, readable by the agents' user. */
export async function agentKubeconfig(kube: Kube, undo: (() => unknown)[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-kubeconfig-"));
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const path = join(directory, "kubeconfig");
  const ca = readFileSync(kube.caFile).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "lab", cluster: { server: kube.server, "certificate-authority-data": ca } }],
    users: [{ name: "flowspan", user: { token: await serviceAccountToken(kube) } }],
    contexts: [{ name: "lab", context: { cluster: "lab", user: "flowspan" } }],
    "current-context": "lab",
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o644 });
  return path;
}
