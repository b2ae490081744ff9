/**
 * An API server's answers for a cluster of any size, made as they are sent: nothing of it is kept.
 *
 *   node test/bench/cluster-server.ts PODS CERTIFICATE KEY
 *
 * Objects that a server holds would need gigabytes here; a real one takes half an hour to be given 100,000 pods.
 * `POST /change?pod=I&address=A` moves a pod to another address for all who watch. Prints its port and waits.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FakeApiServer } from "../kubernetes/fake-api-server.ts";
import type { ApiObject, Metadata } from "../kubernetes/kubernetes-objects.ts";

/** Per node, as kubelets allow; per Service. */
const PODS_PER_NODE = 50;
const PODS_PER_SERVICE = 20;

export const uidOf = (kind: number, index: number): string =>
  `${index.toString(16).padStart(8, "0")}-${kind.toString(16).padStart(4, "0")}-4000-8000-00163e${index.toString(16).padStart(6, "0")}`;
export const podAddress = (index: number): string => `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
const serviceAddress = (index: number): string => `10.32.${(index >> 8) & 255}.${index & 255}`;
const serviceOf = (index: number): number => Math.floor(index / PODS_PER_SERVICE);
const namespaceOf = (index: number): string => `team-${serviceOf(index) % 97}`;

interface Generated {
  readonly count: (pods: number) => number;
  readonly make: (index: number) => ApiObject;
}

const LISTINGS: Readonly<Record<string, Generated>> = {
  Pod: { count: (pods) => pods, make: (index) => pod(index, podAddress(index)) },
  Service: { count: (pods) => Math.ceil(pods / PODS_PER_SERVICE), make: service },
  EndpointSlice: { count: (pods) => Math.ceil(pods / PODS_PER_SERVICE), make: slice },
  Node: { count: (pods) => Math.ceil(pods / PODS_PER_NODE), make: node },
  Namespace: {
    count: () => 1,
    make: () => object("Namespace", "v1", { name: "kube-system", uid: uidOf(9, 0) }, {}),
  },
};

function object(
  kind: string,
  apiVersion: string,
  metadata: Metadata & { readonly managedFields?: object },
  rest: object,
): ApiObject {
  const all = { resourceVersion: "100", creationTimestamp: "2026-01-05T10:00:00Z", ...metadata };
  return { kind, apiVersion, metadata: all, ...rest };
}

/** As large as a pod with a sidecar is in a cluster that sets its defaults: some 6 kB. */
function pod(index: number, address: string): ApiObject {
  const app = `workload-${serviceOf(index)}`;
  const labels = { app, team: namespaceOf(index), "pod-template-hash": "6f7d9c8b5d", version: "v1.2.3" };
  const container = (name: string) => ({ ...CONTAINER, name, image: `registry.example/${app}/${name}:1.2.3` });
  return object(
    "Pod",
    "v1",
    {
      name: `${app}-6f7d9c8b5d-${index.toString(36).padStart(5, "0")}`,
      namespace: namespaceOf(index),
      uid: uidOf(1, index),
      labels,
      annotations: { "kubectl.kubernetes.io/restartedAt": "2026-01-05T10:00:00Z", "checksum/config": "0".repeat(64) },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: `${app}-6f7d9c8b5d`,
          uid: uidOf(7, index),
          controller: true,
        },
      ],
      managedFields: MANAGED_FIELDS,
    },
    {
      spec: {
        nodeName: `node-${Math.floor(index / PODS_PER_NODE)}`,
        containers: [container("main"), container("sidecar")],
        volumes: VOLUMES,
        tolerations: TOLERATIONS,
      },
      status: {
        phase: "Running",
        podIP: address,
        podIPs: [{ ip: address }],
        conditions: CONDITIONS,
        containerStatuses: ["main", "sidecar"].map((name, i) => ({
          name,
          containerID: `containerd://${uidOf(2 + i, index)
            .replaceAll("-", "")
            .repeat(2)}`,
          state: { running: { startedAt: "2026-01-05T10:00:05Z" } },
        })),
      },
    },
  );
}

const CONTAINER = {
  env: Array.from({ length: 8 }, (_, i) => ({ name: `SETTING_${i}`, value: `value-${i}-of-a-usual-length` })),
  resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
  livenessProbe: { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 10 },
  volumeMounts: [{ name: "kube-api-access-x7k2p", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io" }],
};
const VOLUMES = [
  { name: "kube-api-access-x7k2p", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } },
];
const TOLERATIONS = [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" }];
const CONDITIONS = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(
  (type) => ({
    ...{ type, status: "True", lastTransitionTime: "2026-01-05T10:00:05Z" },
  }),
);
const MANAGED_FIELDS = ["kube-controller-manager", "kubelet"].map((manager) => ({
  ...{ manager, operation: "Update", apiVersion: "v1", time: "2026-01-05T10:00:05Z", fieldsType: "FieldsV1" },
  fieldsV1: Object.fromEntries(
    Array.from({ length: 24 }, (_, i) => [`f:field-number-${i}`, { ".": {}, "f:name": {} }]),
  ),
}));

function service(index: number): ApiObject {
  const address = serviceAddress(index);
  const metadata = { name: `workload-${index}`, namespace: `team-${index % 97}`, uid: uidOf(4, index) };
  const ports = [{ port: 80, protocol: "TCP", targetPort: 8080 }];
  return object("Service", "v1", metadata, { spec: { clusterIP: address, clusterIPs: [address], ports }, status: {} });
}

function slice(index: number): ApiObject {
  const endpoints = Array.from({ length: PODS_PER_SERVICE }, (_, i) => {
    const at = index * PODS_PER_SERVICE + i;
    return {
      addresses: [podAddress(at)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${Math.floor(at / PODS_PER_NODE)}`,
      targetRef: { kind: "Pod", namespace: namespaceOf(at), name: `workload-${index}`, uid: uidOf(1, at) },
    };
  });
  const labels = { "kubernetes.io/service-name": `workload-${index}` };
  const metadata = { name: `workload-${index}-x`, namespace: `team-${index % 97}`, uid: uidOf(5, index), labels };
  const ports = [{ name: "http", port: 8080, protocol: "TCP" }];
  return object("EndpointSlice", "discovery.k8s.io/v1", metadata, { addressType: "IPv4", endpoints, ports });
}

function node(index: number): ApiObject {
  const zone = `zone-${index % 3}`;
  const labels = { "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "region" };
  const addresses = [{ type: "InternalIP", address: `192.168.${index >> 8}.${index & 255}` }];
  const metadata = { name: `node-${index}`, uid: uidOf(6, index), labels };
  return object("Node", "v1", metadata, { spec: { podCIDR: `10.64.${index & 255}.0/26` }, status: { addresses } });
}

async function serve(pods: number, certFile: string, keyFile: string): Promise<void> {
  const server = new FakeApiServer({
    tls: { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    generated: (kind) => {
      const { count, make } = LISTINGS[kind] as Generated;
      return { length: count(pods), at: make };
    },
  });
  server.answering = (answer, request, behave) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    if (pathname !== "/change") return behave();
    const changed = pod(Number(searchParams.get("pod")), searchParams.get("address") ?? "");
    server.writeRaw("Pod", `${JSON.stringify({ type: "MODIFIED", object: changed })}\n`);
    answer.end();
  };
  await server.start();
  process.stdout.write(`${server.port}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , pods, certFile = "", keyFile = ""] = process.argv;
  await serve(Number(pods), certFile, keyFile);
  process.stdin.once("end", () => process.exit(0)).resume();
}
