/**
 * A real Kubernetes API server with its etcd, for one test file: started on free ports of loopback in a
 * directory of its own, stopped by process id, removed with everything it wrote.
 *
 * There is no controller, scheduler or kubelet: tests write what those would (a pod's node and status).
 */
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiObject } from "../kubernetes/kubernetes-objects.ts";
import { freePorts } from "../shared/free-ports.ts";
import { component } from "./find.ts";
import { Running } from "./running.ts";

const READY_MS = 90_000;

export interface Kube {
  /** A kubeconfig of a user who may do everything. */
  readonly kubeconfig: string;
  readonly server: string;
  readonly caFile: string;
  /** Private key of the tokens of service accounts. */
  readonly signingKeyFile: string;
  readonly admin: KubeAdmin;
  /** kill -9 of the API server; etcd goes on. */
  killServer(): Promise<void>;
  /** Starts it again on the same port and waits until it is ready. */
  startServer(): Promise<void>;
  /** With its next start the server has a new certificate, by a new CA. */
  forgetCertificate(): Promise<void>;
  /** Has etcd forget everything that is not so now: versions before are gone. A running server may know them still. */
  compactHistory(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param flags of the API server, besides those that it needs
 * @throws Error with its log when it does not get ready
 */
export async function startKube(...flags: readonly string[]): Promise<Kube> {
  const directory = await mkdtemp(join(tmpdir(), "flowspan-kube-"));
  const processes: Running[] = [];
  const stop = async () => {
    await Promise.all(processes.map((each) => each.stop("SIGKILL")));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    return { ...(await startIn(directory, processes, flags)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startIn(
  directory: string,
  processes: Running[],
  moreFlags: readonly string[],
): Promise<Omit<Kube, "stop">> {
  const [port = 0, etcdPort = 0, peerPort = 0] = await freePorts(3);
  const token = randomUUID();
  const server = `https://127.0.0.1:${port}`;
  const caFile = join(directory, "certs", "apiserver.crt");
  const kubeconfig = join(directory, "kubeconfig");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await writeFile(join(directory, "sa.key"), privateKey.export({ type: "pkcs1", format: "pem" }));
  await writeFile(join(directory, "tokens.csv"), `${token},admin,1,"system:masters"\n`);
  await writeFile(kubeconfig, kubeconfigText(server, caFile, token));

  const admin = new KubeAdmin(server, token, caFile);
  processes.push(new Running("etcd", component("etcd"), etcdFlags(directory, etcdPort, peerPort)));
  const flags = [...serverFlags(directory, port, etcdPort), ...moreFlags];
  let running: Running;
  const startServer = async () => {
    running = new Running("the API server", component("kube-apiserver"), flags);
    processes.push(running);
    await running.ready(() => isReady(admin), READY_MS);
  };
  await startServer();
  return {
    ...{ kubeconfig, server, caFile, admin, startServer },
    signingKeyFile: join(directory, "sa.key"),
    killServer: () => running.stop("SIGKILL"),
    forgetCertificate: () => rm(join(directory, "certs"), { recursive: true }),
    compactHistory: () => compact(`http://127.0.0.1:${etcdPort}`),
  };
}

/** etcd's own API in JSON: to its present revision, and to the end. */
async function compact(etcd: string): Promise<void> {
  const ask = async (path: string, body: object): Promise<{ header: { revision: string } }> => {
    const answer = await fetch(`${etcd}/v3/kv/${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { header: { revision: string } };
  };
  const { header } = await ask("range", { key: Buffer.from("/").toString("base64") });
  await ask("compaction", { revision: header.revision, physical: true });
}

function etcdFlags(directory: string, port: number, peerPort: number): string[] {
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    `--data-dir=${join(directory, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    "--unsafe-no-fsync",
  ];
}

function serverFlags(directory: string, port: number, etcdPort: number): string[] {
  const key = join(directory, "sa.key");
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--cert-dir=${join(directory, "certs")}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${port}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    `--token-auth-file=${join(directory, "tokens.csv")}`,
    "--authorization-mode=Node,RBAC",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--allow-privileged=true",
    // Its controller is not there, so no namespace has the account that this plugin asks for.
    "--disable-admission-plugins=ServiceAccount",
  ];
}

async function isReady(admin: KubeAdmin): Promise<boolean> {
  const status = await admin.send("GET", "/readyz").then(
    (answer) => answer.status,
    () => 0, // nobody there yet: the only thing that is asked
  );
  return status === 200;
}

function kubeconfigText(server: string, caFile: string, token: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": caFile } }],
    users: [{ name: "admin", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    "current-context": "test",
  });
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Writes objects as they are, with their status, which a real API server takes only on its own. */
export class KubeAdmin {
  readonly #server: string;
  readonly #token: string;
  readonly #caFile: string;

  constructor(server: string, token: string, caFile: string) {
    this.#server = server;
    this.#token = token;
    this.#caFile = caFile;
  }

  /** @returns the object as the server has it then */
  async create(object: ApiObject): Promise<ApiObject> {
    const { uid: _, ...metadata } = object.metadata;
    const created = await this.#write("POST", collectionPath(object), { ...object, metadata });
    return object.status === undefined ? created : this.setStatus({ ...created, status: object.status });
  }

  setStatus(object: ApiObject): Promise<ApiObject> {
    const { resourceVersion: _, ...metadata } = object.metadata;
    return this.#write("PUT", `${collectionPath(object)}/${object.metadata.name}/status`, { ...object, metadata });
  }

  /** Gone at once, without a kubelet's word. */
  async delete(object: ApiObject): Promise<void> {
    const options = { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0 };
    await this.#write("DELETE", `${collectionPath(object)}/${object.metadata.name}`, options);
  }

  async #write(method: string, path: string, body: object): Promise<ApiObject> {
    const answer = await this.send(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body) as ApiObject;
  }

  async send(method: string, path: string, body?: object): Promise<Answer> {
    const ca = await readFile(this.#caFile);
    const content = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${this.#token}`,
      "content-type": "application/json",
      // Node sends the body of a DELETE without any length of its own accord.
      "content-length": Buffer.byteLength(content),
    };
    const sent = request(new URL(path, this.#server), { method, ca, headers, agent: false });
    sent.end(content);
    const [answer] = await once(sent, "response");
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk);
    return { status: answer.statusCode, body: Buffer.concat(chunks).toString("utf8") };
  }
}

const PLURALS: Readonly<Record<string, string>> = {
  Pod: "pods",
  Service: "services",
  Node: "nodes",
  Namespace: "namespaces",
  EndpointSlice: "endpointslices",
};

function collectionPath({ apiVersion, kind, metadata }: ApiObject): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${root}${namespace}/${PLURALS[kind] ?? kind.toLowerCase()}`;
}
