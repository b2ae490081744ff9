/**
 * What doctor says of `flowspan directory`, where names come from it: every replica is asked as an agent asks.
 *
 * Nothing of it stops the main job: without a directory numbers are as exact, but peers have no names.
 */
import { type ServiceError, status } from "@grpc/grpc-js";
import type { Settings } from "../../config/settings.ts";
import { connectTo, findReplicas, type Replica } from "../../directory/client/replicas.ts";
import { decodeAnswers, encodeAsk, NOT_READ_YET } from "../../directory/protocol.ts";
import { ownNodeTrouble } from "../../naming/local/own-node.ts";
import { type Cluster, clusterOf } from "../../runtime/cluster.ts";
import { nodeFinding } from "./check-node.ts";
import { type Finding, ok } from "./finding.ts";

/** Why a replica does not answer, as far as another thing mends it. */
export type DirectoryTrouble = "name" | "files" | "tls" | "token" | "unread" | "away";

export interface ReplicaFacts {
  /** Its address; as configured where no address is known. */
  readonly target: string;
  readonly answer:
    | {
        readonly replica: string;
        readonly ageMs: number;
        readonly otherLabels: boolean;
        /** What is wrong with the node's name. */
        readonly nodeTrouble: string | undefined;
      }
    | { readonly trouble: DirectoryTrouble; readonly detail: string };
}

/** The replicas, or why none is asked. */
export type DirectoryFacts = { readonly skipped: string } | { readonly replicas: readonly ReplicaFacts[] };

const ANSWER_MS = 5_000;

/** Tries exactly what an agent does; asks for no address. */
export async function askDirectory(settings: Settings, env: NodeJS.ProcessEnv): Promise<DirectoryFacts> {
  const { metadata } = settings.kubernetes;
  if (metadata !== "directory") return { skipped: `not asked: kubernetes.metadata is ${metadata}` };
  const cluster = clusterIn(settings, env);
  if ("none" in cluster) return { skipped: `not asked: ${cluster.none}` };
  const { addresses } = settings.directory;
  const replicas = await Promise.all(addresses.map((text) => askBehind(text, settings, cluster.nodeName)));
  return { replicas: replicas.flat() };
}

/** That a cluster is demanded and not there is reported where the API server is asked. */
function clusterIn(settings: Settings, env: NodeJS.ProcessEnv): Cluster | { readonly none: string } {
  try {
    return clusterOf(settings, env);
  } catch (error) {
    return { none: (error as Error).message };
  }
}

async function askBehind(text: string, settings: Settings, node: string): Promise<ReplicaFacts[]> {
  try {
    const found = await findReplicas(text);
    return await Promise.all(found.map((replica) => askReplica(replica, settings, node)));
  } catch (error) {
    return [{ target: text, answer: { trouble: "name", detail: (error as Error).message } }];
  }
}

async function askReplica(replica: Replica, { directory, kubernetes }: Settings, node: string): Promise<ReplicaFacts> {
  const target = replica.address;
  let connection: ReturnType<typeof connectTo>;
  try {
    connection = connectTo(replica, directory);
  } catch (error) {
    return { target, answer: { trouble: "files", detail: (error as Error).message } };
  }
  const { client, call } = connection;
  const { promise, resolve } = Promise.withResolvers<ReplicaFacts["answer"]>();
  const timer = setTimeout(() => resolve({ trouble: "away", detail: `no word for ${ANSWER_MS} ms` }), ANSWER_MS);
  call.on("data", (bytes: Buffer) => {
    const { cluster, ageMs } = decodeAnswers(bytes);
    const otherLabels = (cluster?.appLabels ?? kubernetes.appLabels) !== kubernetes.appLabels;
    const facts = { nodeName: node, nodes: cluster?.node ? [cluster.node] : [], allNodes: false, strangers: 0 };
    const nodeTrouble = ownNodeTrouble({ ...facts, hostAddresses: [] });
    resolve({ replica: cluster?.replica ?? "", ageMs, otherLabels, nodeTrouble });
  });
  call.on("error", (error: ServiceError) => resolve({ trouble: troubleOf(error), detail: wordsOf(error) }));
  call.on("end", () => resolve({ trouble: "away", detail: "it is shutting down" }));
  call.write(encodeAsk({ node }));
  const answer = await promise;
  clearTimeout(timer);
  call.cancel();
  client.close();
  return { target, answer };
}

/** gRPC says the same of a replica that is away, one that has not read the cluster and one that is not trusted. */
export function troubleOf({ code, details }: Pick<ServiceError, "code" | "details">): DirectoryTrouble {
  if (code === status.UNAUTHENTICATED) return "token";
  if (code !== status.UNAVAILABLE) return "away";
  if (details.startsWith(NOT_READ_YET)) return "unread";
  return /certificate|altnames|SSL|TLS|ERR_TLS|Unexpected end|socket disconnected/i.test(details) ? "tls" : "away";
}

/** gRPC ends in a heading with nothing below it. */
function wordsOf({ details }: ServiceError): string {
  return details.replace(/\.?\s*Resolution note:\s*$/, "");
}

const LOST = "peers on other nodes have no names";
const PODS = "-l app.kubernetes.io/name=flowspan-directory";

const REMEDY: Readonly<Record<DirectoryTrouble, string>> = {
  name: "kubectl -n flowspan get service flowspan-directory; apply deploy/manifests/directory, or set directory.addresses",
  files: "mount the Secret flowspan-directory-agent: docs/directory.md says how to make it",
  tls: "set directory.ca_file to what signed the replica's certificate; where it has a ca_file too, show it cert_file and key_file",
  token: "write the agent's token into the directory's token_file, as a line of its own: docs/directory.md",
  unread: `kubectl -n flowspan logs ${PODS}; apply deploy/manifests/directory`,
  away: `kubectl -n flowspan get pods ${PODS}; a NetworkPolicy must let agents in`,
};

const OTHER_LABELS = {
  found: "it answers, but its kubernetes.app_labels is not this agent's",
  lost: "services have one name of their own and another one as peers",
  remedy: "set kubernetes.app_labels alike in the ConfigMaps flowspan and flowspan-directory, and restart both",
};

export function checkDirectory(facts: DirectoryFacts): Finding[] {
  if ("skipped" in facts) return [ok("directory", facts.skipped)];
  const isAnswered = facts.replicas.some(({ answer }) => "replica" in answer);
  return facts.replicas.map(({ target, answer }): Finding => {
    const name = `directory ${target}`;
    if ("replica" in answer) {
      if (answer.otherLabels) return { name, state: "warn", ...OTHER_LABELS };
      if (answer.nodeTrouble !== undefined) return nodeFinding(name, answer.nodeTrouble);
      return ok(name, `${answer.replica} answers; its names were confirmed ${Math.round(answer.ageMs / 1000)} s ago`);
    }
    const lost = isAnswered ? "nothing while another replica answers" : LOST;
    return { name, state: "warn", found: answer.detail, lost, remedy: REMEDY[answer.trouble] };
  });
}
