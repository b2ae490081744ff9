/**
 * Who it was, while pods come and go: a real kube-apiserver is told of pods created, deleted, moved and made again
 * under addresses that others had before, while traffic runs. Every byte must land on the pod that sent or took
 * it, by the workload's own count; what may be of two pods is said to be of neither. Once where agents watch the
 * cluster themselves, and once where a directory tells them who their peers are.
 *
 * There is no kubelet: the test says what one would, in its order and as late as one would.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import {
  ATTR_FLOWSPAN_PEER_K8S_POD_NAME,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_PEER_ZONE,
  ATTR_K8S_CRONJOB_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_K8S_POD_UID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_PEER_NAME,
} from "../../agent/generated/semconv.ts";
import { DEFAULT_KEY_WARNING } from "../../agent/spans/trace-key.ts";
import { startDirectory } from "../components/directory.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import type { ApiObject } from "../kubernetes/kubernetes-objects.ts";
import { ObservedLab } from "../lab/agents/observed.ts";
import { configDirectory, replaceFile } from "../lab/agents/span-lab.ts";
import { eventually } from "../lab/programs/process.ts";
import type { ClientOptions } from "../lab/programs/workload.ts";
import { describe as describeLab, type PodDescription, type PodInput, successor } from "../lab/world/describe.ts";
import type { LabPlace } from "../lab/world/lab.ts";
import { labPodObject } from "../lab/world/lab-objects.ts";
import { missing, needs } from "../machine/needs.ts";
import { bytesBy } from "../otlp/bytes-by.ts";
import { apply, manifests } from "./manifests.ts";
import { agentKubeconfig, register } from "./registered.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "kube-apiserver", "etcd"] as const;
const test = needs(...NEEDS);

// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;
const PORT = 8080;
/** For pods that follow each other so quickly that their traffic falls into one interval. */
const QUICK_PORT = 8081;
const STEADY_PORT = 8082;
const MINUTE_MS = 60_000;

/** Pods whose addresses others get later, a client of them all, and a pair that talks all the time. */
const PLAIN = describeLab({
  nodes: 2,
  zones: ["north", "south"],
  pods: [
    { key: "cart", namespace: "shop" },
    { key: "caller", namespace: "shop" },
    { key: "batch", namespace: "shop", kind: "Job" },
    { key: "store", namespace: "shop", node: "node-2" },
    { key: "db", namespace: "shop", node: "node-2", kind: "StatefulSet" },
    { key: "quick", namespace: "shop", node: "node-2" },
    { key: "steady", namespace: "shop", node: "node-2" },
  ],
});

describe.each(["watch", "directory"] as const)("pods that come and go while traffic runs, names by %s", (metadata) => {
  const undo: (() => unknown)[] = [];
  let kube: Kube;
  let observed: ObservedLab;
  let played: Played;

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    kube = await startKube();
    undo.push(() => kube.stop());
    for (const object of manifests()) await apply(kube, object, { dryRun: false });
    const described = await register(kube, PLAIN);
    const kubeconfig = await agentKubeconfig(kube, undo);
    const agentArguments = ["--peer-pod", ...(metadata === "watch" ? [] : await directoryArguments(kubeconfig))];
    observed = await ObservedLab.start(described, { kubeconfig, agentArguments });
    undo.push(() => observed.close());
    await observed.watch();
    played = await play();
    await observed.settled("all bytes at both ends", () => {
      const told = (role: "client" | "server") =>
        [PORT, QUICK_PORT].map((port) =>
          sum(bytesBy(observed.receiver.points, [], { role, port, direction: way(role) })),
        );
      const wanted = [total(played.lives), total(played.quick)];
      return [told("client"), told("server")].every((ends) => ends.every((bytes, i) => bytes >= (wanted[i] ?? 0)));
    });
  });

  afterAll(async () => {
    for (const step of undo.reverse()) await step();
  });

  test("each pod has the bytes that it took itself, whoever had its address before", () => {
    const told = bytesBy(observed.receiver.points, [ATTR_K8S_POD_UID, ATTR_K8S_POD_NAME], {
      role: "server",
      port: PORT,
      direction: "receive",
    });

    expect(told).toEqual(played.lives.map(({ pod, bytes }) => [pod.uid, pod.name, bytes]).sort(byFirst));
    expect(played.lives.map(({ received }) => received)).toEqual(played.lives.map(({ bytes }) => bytes));
  });

  test("their client has sent to each pod, by its name and zone, what it sent to it", () => {
    const names = [ATTR_FLOWSPAN_PEER_K8S_POD_NAME, ATTR_FLOWSPAN_PEER_ZONE, ATTR_SERVICE_PEER_NAME];
    const told = bytesBy(observed.receiver.points, names, { role: "client", port: PORT, direction: "transmit" });

    const wanted = played.lives.map(({ pod, workload, bytes }) => {
      return [pod.name, pod.node === "node-1" ? "north" : "south", workload, bytes];
    });
    expect(told).toEqual(wanted.sort(byFirst));
  });

  test("a Job's pod is its CronJob's, by the rule that its own SDK follows", () => {
    const job = played.lives.find(({ workload }) => workload === "report");
    const names = [ATTR_K8S_POD_UID, ATTR_K8S_CRONJOB_NAME, ATTR_SERVICE_NAME];
    const told = bytesBy(observed.receiver.points, names, { role: "server", port: PORT, direction: "receive" });

    expect(told).toContainEqual([job?.pod.uid, "report", "report", job?.bytes]);
  });

  test("two pods in one interval each have their own bytes, and neither has the other's as a peer", () => {
    const { points } = observed.receiver;
    const served = bytesBy(points, [ATTR_K8S_POD_UID], { role: "server", port: QUICK_PORT, direction: "receive" });
    const names = [ATTR_FLOWSPAN_PEER_KIND, ATTR_FLOWSPAN_PEER_K8S_POD_NAME];
    const sent = bytesBy(points, names, { role: "client", port: QUICK_PORT, direction: "transmit" });

    expect(served).toEqual(played.quick.map(({ pod, bytes }) => [pod.uid, bytes]).sort(byFirst));
    expect(sum(sent)).toBe(total(played.quick));
    for (const [kind, name, bytes] of sent) {
      const own = played.quick.find(({ pod }) => pod.name === name)?.bytes ?? 0;
      expect({ kind, name, bytes }).toSatisfy(() => kind === "unknown" || Number(bytes) <= own);
    }
  });

  test("a pair that nothing happened to has its own bytes at both ends", async () => {
    const { bytesSent } = played.steady;
    const sent = [ATTR_K8S_POD_NAME, ATTR_FLOWSPAN_PEER_K8S_POD_NAME];
    const told = (role: "client" | "server") =>
      bytesBy(observed.receiver.points, sent, { role, port: STEADY_PORT, direction: way(role) });

    await observed.settled("its bytes at both ends", () => sum(told("client")) + sum(told("server")) >= 2 * bytesSent);
    const [caller, steady] = [described("caller").name, described("steady").name];
    expect([told("client"), told("server")]).toEqual([[[caller, steady, bytesSent]], [[steady, caller, bytesSent]]]);
  });

  test("nothing was lost, and the shipped grants were enough", () => {
    const warnings = ["node-1", "node-2"].flatMap((node) =>
      observed
        .agent(node)
        .agent.stderr.filter(
          (line) => /"level":"(warn|error|fatal)"/.test(line) && !line.includes(DEFAULT_KEY_WARNING),
        ),
    );

    expect({ losses: observed.losses(), warnings }).toEqual({ losses: {}, warnings: [] });
  });

  /** Starts a directory. @returns what has an agent ask it */
  async function directoryArguments(kubeconfig: string): Promise<string[]> {
    const settings = { directory: { insecure: true }, kubernetes: { kubeconfig } };
    const replica = await startDirectory({ settings });
    undo.push(() => replica.kill("SIGKILL"));
    await eventually("a directory that has read the cluster", () => replica.isReady(), 30_000);
    const directory = configDirectory();
    undo.push(() => rmSync(directory, { recursive: true, force: true }));
    const flowspan = {
      kubernetes: { metadata: "directory" },
      directory: { addresses: [replica.address], insecure: true },
    };
    const file = join(directory, "flowspan.yaml");
    replaceFile(file, JSON.stringify({ file_format: "1.1", distribution: { flowspan } }));
    return ["--config", file];
  }

  /** Everything that happens, in order. */
  async function play(): Promise<Played> {
    const { lab } = observed;
    await lab.pod("steady").serve({ listen: [{ port: STEADY_PORT }] });
    const to = [{ address: lab.pod("steady").ips.v4, port: STEADY_PORT }];
    const pair = lab.pod("caller").start("hold", { to, count: 5, everyMs: 17, upload: 101, download: 211 });
    await pair.ready();

    const lives: Life[] = [];
    const live = async (pod: PodDescription, place: LabPlace, workload: string, upload: number, started?: Started) => {
      lives.push(await serveCart(pod, place, { workload, upload, port: PORT }, started));
      await observed.exchanges(2);
    };
    // As in a cluster that is not in a hurry: an exchange lies between a pod's end and the next one's traffic.
    const end = async (...pods: PodDescription[]) => {
      for (const pod of pods) await remove(pod);
      // One may have been under way already.
      await observed.exchanges(2);
    };
    const first = (key: string) => [described(key), lab.pod(key)] as const;

    await live(...first("store"), "store", 1009);
    await live(...first("db"), "db", 2003);
    // Another workload under the address, which has traffic before the API tells that it has the address.
    await end(described("store"));
    const bill = await create("store", { key: "bill", namespace: "shop" });
    await live(bill, lab.follow("store", bill), "bill", 3001, () => run(bill));
    // The first workload again, under a new pod's name.
    await end(bill);
    const store = await create("store", { key: "store-again", owner: "store", namespace: "shop" });
    await run(store);
    await live(store, lab.follow("store", store), "store", 4001);
    // A pod of a StatefulSet moves: the same name on another node, under an address that another pod had.
    await end(described("db"), described("batch"));
    const db = await create("batch", { key: "db", namespace: "shop", kind: "StatefulSet" });
    await run(db);
    await live(db, lab.follow("batch", db), "db", 5003);
    // A CronJob's run that is over before anybody could ask.
    await end(store);
    const owner = `report-${Math.floor(Date.now() / MINUTE_MS)}`;
    const job = await create("store", { key: "report", owner, namespace: "shop", kind: "Job" });
    await run(job);
    lives.push(await serveCart(job, lab.follow("store", job), { workload: "report", upload: 6007, port: PORT }));
    await remove(job);

    const quick = await playQuickly();
    return { lives, quick, steady: await pair.close() };
  }

  /** Nobody waits for anybody: the end of one pod and the begin of the next fall into one interval. */
  async function playQuickly(): Promise<Life[]> {
    const { lab } = observed;
    const before = described("quick");
    const first = await serveCart(before, lab.pod("quick"), { workload: "quick", upload: 701, port: QUICK_PORT });
    await remove(before);
    const after = await create("quick", { key: "swift", namespace: "shop" });
    await run(after);
    const place = lab.follow("quick", after);
    return [first, await serveCart(after, place, { workload: "swift", upload: 907, port: QUICK_PORT })];
  }

  /** A server in a pod's place, and all that cart has to send to it. */
  async function serveCart(pod: PodDescription, place: LabPlace, { workload, upload, port }: Plan, started?: Started) {
    const server = await place.serve({ listen: [{ port }] });
    const to = [{ address: pod.ips.v4, port }];
    const options: ClientOptions = { to, count: CONNECTIONS, upload, uploadStep: 1 };
    const { bytesSent: bytes } = await observed.lab.pod("cart").play("send", options);
    await started?.();
    const { bytesReceived: received } = await server.close();
    return { pod, workload, bytes, received };
  }

  function described(key: string): PodDescription {
    return observed.describedPod(key);
  }

  /** A pod that the scheduler has put on its node and no kubelet has started yet: it has no address. */
  async function create(after: string, input: PodInput): Promise<PodDescription> {
    const pod = successor(observed.lab.description, after, input);
    const { status: _, ...object } = labPodObject(pod, "containerd");
    const { metadata } = await kube.admin.create(object as ApiObject);
    return { ...pod, uid: metadata.uid ?? "" };
  }

  /** The kubelet says that all containers run, and the address. */
  async function run(pod: PodDescription): Promise<void> {
    await kube.admin.setStatus(labPodObject(pod, "containerd"));
  }

  async function remove(pod: PodDescription): Promise<void> {
    await kube.admin.delete(labPodObject(pod, "containerd"));
  }
});

type Started = () => Promise<void>;

interface Plan {
  readonly workload: string;
  readonly upload: number;
  readonly port: number;
}

/** What one pod's server took, and what the client says that it sent to it. */
interface Life {
  readonly pod: PodDescription;
  readonly workload: string;
  readonly bytes: number;
  readonly received: number;
}

interface Played {
  readonly lives: readonly Life[];
  readonly quick: readonly Life[];
  readonly steady: { readonly bytesSent: number };
}

function way(role: "client" | "server"): "transmit" | "receive" {
  return role === "client" ? "transmit" : "receive";
}

function total(lives: readonly Life[]): number {
  return lives.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Of the last column. */
function sum(rows: readonly (readonly unknown[])[]): number {
  return rows.reduce((sum, row) => sum + Number(row.at(-1)), 0);
}

function byFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
