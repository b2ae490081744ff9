/**
 * deploy/manifests as objects, and the requests with which tests bring them to a real API server.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import type { Answer, Kube } from "../components/kubernetes.ts";

export const MANIFESTS = fileURLToPath(new URL("../../deploy/manifests/", import.meta.url));

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

/** What kustomization.yaml names, in its order, in which the objects can be created. */
export function resourceFiles(): string[] {
  const { resources } = parse(readFileSync(`${MANIFESTS}kustomization.yaml`, "utf8")) as { resources: string[] };
  return resources;
}

export function manifests(): Manifest[] {
  return resourceFiles().flatMap((file) =>
    parseAllDocuments(readFileSync(MANIFESTS + file, "utf8")).map((document) => document.toJS() as Manifest),
  );
}

/** @param name of the object; without it the first of its kind */
export function manifest<T>(kind: string, name?: string): Manifest & T {
  const found = manifests().find((each) => each.kind === kind && (name ?? each.metadata.name) === each.metadata.name);
  if (found === undefined) throw new Error(`deploy/manifests has no ${kind} ${name ?? ""}`);
  return found as Manifest & T;
}

export interface PodContainer {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly runAsGroup?: number;
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly add?: readonly string[]; readonly drop: readonly string[] };
  };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
}

export interface PodSpec {
  readonly hostPID?: boolean;
  readonly containers: readonly PodContainer[];
  readonly securityContext: { readonly fsGroup?: number; readonly supplementalGroups?: readonly number[] };
  readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
}

interface DaemonSet {
  readonly spec: {
    readonly template: { readonly metadata: { readonly labels: Record<string, string> }; readonly spec: PodSpec };
  };
}

/** What the DaemonSet of that name makes on each node, with its only container. */
export function podOf(daemonSet: string): { spec: PodSpec; container: PodContainer; labels: Record<string, string> } {
  const { metadata, spec } = manifest<DaemonSet>("DaemonSet", daemonSet).spec.template;
  const [container, ...others] = spec.containers;
  if (container === undefined || others.length > 0) throw new Error(`${daemonSet} has not one container`);
  return { spec, container, labels: metadata.labels };
}

const PLURALS: Readonly<Record<string, string>> = {
  PriorityClass: "priorityclasses",
  NetworkPolicy: "networkpolicies",
};

/** Server-side apply, refusing fields that the API does not know. */
export function apply(kube: Kube, object: Manifest, options: { readonly dryRun: boolean }): Promise<Answer> {
  const { apiVersion, kind, metadata } = object;
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  const query = `fieldManager=flowspan-test&fieldValidation=Strict${options.dryRun ? "&dryRun=All" : ""}`;
  const path = `${root}${namespace}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}/${metadata.name}?${query}`;
  return send(kube, adminToken(kube), "PATCH", path, object, "application/apply-patch+yaml");
}

export function adminToken({ kubeconfig }: Kube): string {
  const { users } = JSON.parse(readFileSync(kubeconfig, "utf8")) as { users: { user: { token: string } }[] };
  return users[0]?.user.token ?? "";
}

/** A token of the shipped service account, as the kubelet would ask for one. */
export async function serviceAccountToken(kube: Kube): Promise<string> {
  const path = "/api/v1/namespaces/flowspan/serviceaccounts/flowspan/token";
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3607 } };
  const answer = await send(kube, adminToken(kube), "POST", path, body);
  if (answer.status !== 201) throw new Error(`no token: ${answer.status} ${answer.body}`);
  return (JSON.parse(answer.body) as { status: { token: string } }).status.token;
}

/** Deletes the account and makes it anew: no token of before is valid any more. */
export async function renewServiceAccount(kube: Kube): Promise<void> {
  const path = "/api/v1/namespaces/flowspan/serviceaccounts/flowspan";
  const { status, body } = await send(kube, adminToken(kube), "DELETE", path);
  if (status !== 200) throw new Error(`the account is not deleted: ${status} ${body}`);
  await apply(kube, manifest("ServiceAccount"), { dryRun: false });
}

export async function send(
  kube: Kube,
  token: string,
  method: string,
  path: string,
  body?: object,
  type = "application/json",
): Promise<Answer> {
  const content = body === undefined ? "" : JSON.stringify(body);
  const sent = request(new URL(path, kube.server), {
    method,
    ca: readFileSync(kube.caFile),
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": type,
      "content-length": Buffer.byteLength(content),
    },
    agent: false,
  });
  sent.end(content);
  const [answer] = await once(sent, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode, body: Buffer.concat(chunks).toString("utf8") };
}
