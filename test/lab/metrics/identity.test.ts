/**
 * Who it was, where an address does not say it: pods on the host's network and the host's own processes share one
 * address, and a container may be gone, with its cgroup, before anybody asks for its name. The names come from
 * the cgroup that the kernel keeps with each socket, in both layouts that a kubelet makes.
 */
import { mkdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { afterAll, beforeAll, expect, describe as group } from "vitest";
import {
  ATTR_CONTAINER_ID,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_SYSTEMD_UNIT,
  ATTR_K8S_CONTAINER_NAME,
  ATTR_K8S_NAMESPACE_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_K8S_POD_UID,
  ATTR_SERVICE_PEER_NAME,
} from "../../../agent/generated/semconv.ts";
import type { ApiObject } from "../../kubernetes/kubernetes-objects.ts";
import { missing, needs } from "../../machine/needs.ts";
import { bytesBy } from "../../otlp/bytes-by.ts";
import { ObservedLab } from "../agents/observed.ts";
import type { ClientOptions, Counts, Endpoint } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";
import { labObjects } from "../world/lab-objects.ts";

// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const LAYOUTS = [
  { cgroupDriver: "systemd", runtime: "cri-o" },
  { cgroupDriver: "cgroupfs", runtime: "containerd" },
] as const;

for (const { cgroupDriver, runtime } of LAYOUTS)
  group(`with the kubelet's ${cgroupDriver} driver and ${runtime}`, () => {
    let observed: ObservedLab;

    beforeAll(async () => {
      if (missing(...NEEDS) !== undefined) return;
      observed = await ObservedLab.start(
        describe({
          cgroupDriver,
          runtime,
          pods: [
            { key: "log-shipper", namespace: "ops", kind: "DaemonSet", hostNetwork: true },
            { key: "proxy", namespace: "edge", hostNetwork: true, containers: ["main", "sidecar"] },
            { key: "etcd", namespace: "kube-system", kind: "Node", hostNetwork: true },
            { key: "site", namespace: "edge", containers: ["main"], initContainers: ["fetch"] },
            { key: "known", namespace: "batch", kind: "Job" },
            { key: "late", namespace: "batch", kind: "Job" },
            { key: "store", namespace: "data", node: "node-2", kind: "StatefulSet" },
          ],
        }),
      );
      const { name, namespace } = observed.describedPod("late");
      observed.api.delete("Pod", name, namespace);
      await observed.lab.pod("store").serve({ listen: [{ port: 8080 }, { port: 8081 }] });
      await observed.watch();
    });

    afterAll(() => observed?.close());

    test("pods on the host's network, static pods, all containers and a process of the host are told apart", async () => {
      const { lab } = observed;
      const play = (upload: number) => ({ to: [store(8080)], count: CONNECTIONS, upload });
      await Promise.all([
        lab.pod("log-shipper").play("send", play(1009)),
        lab.pod("proxy", "main").play("send", play(2003)),
        lab.pod("proxy", "sidecar").play("send", play(3001)),
        lab.host("node-1", "kubelet").play("send", play(4001)),
        lab.pod("etcd").play("send", play(5003)),
        lab.pod("site", "fetch").play("send", play(6007)),
        // The pod has an address of each family.
        lab.pod("site", "main").play("send", { ...play(7001), to: [store(8080, "v6")] }),
      ]);

      const onHost = CONNECTIONS * (1009 + 2003 + 3001 + 4001 + 5003);
      const ofSite = CONNECTIONS * (6007 + 7001);
      await observed.settled("all bytes at both ends", () => {
        const { client, server } = observed.ends({ "server.port": 8080 });
        return client.bytesSent >= onHost + ofSite && server.bytesReceived >= onHost + ofSite;
      });

      const { points } = observed.receiver;
      const names = [ATTR_K8S_NAMESPACE_NAME, ATTR_K8S_POD_UID, ATTR_K8S_CONTAINER_NAME, ATTR_FLOWSPAN_SYSTEMD_UNIT];
      expect(bytesBy(points, names, { role: "client", port: 8080, direction: "transmit" })).toEqual(
        [
          ["", "", "", "kubelet.service", CONNECTIONS * 4001],
          ["edge", uid("proxy"), "main", "", CONNECTIONS * 2003],
          ["edge", uid("proxy"), "sidecar", "", CONNECTIONS * 3001],
          ["edge", uid("site"), "fetch", "", CONNECTIONS * 6007],
          ["edge", uid("site"), "main", "", CONNECTIONS * 7001],
          // The API's uid, although the cgroup is named after the file's hash.
          ["kube-system", uid("etcd"), "main", "", CONNECTIONS * 5003],
          ["ops", uid("log-shipper"), "main", "", CONNECTIONS * 1009],
        ].sort(byText),
      );
      // From the other node the host's network is one address, the node's: that is all that may be said of it.
      const seen = [ATTR_K8S_POD_NAME, ATTR_FLOWSPAN_PEER_KIND, ATTR_SERVICE_PEER_NAME];
      expect(bytesBy(points, seen, { role: "server", port: 8080, direction: "receive" })).toEqual([
        [podName("store"), "node", "node-1", onHost],
        [podName("store"), "pod", "site", ofSite],
      ]);
      expect(observed.losses()).toEqual({});
    });

    const SHORT_LIVES = [
      { name: "of a known pod", key: "known", upload: 5003, learnsLate: false },
      { name: "whose pod the API tells of only afterwards", key: "late", upload: 6007, learnsLate: true },
    ];

    for (const { name, key, upload, learnsLate } of SHORT_LIVES)
      test(`a container ${name}, gone with its cgroup before the next exchange, is still named`, async () => {
        const { agent } = observed.agent("node-1");

        // A stopped agent asks for no exchange: all of it happens between two.
        process.kill(agent.pid, "SIGSTOP");
        const counts = await liveShortly(key, { to: [store(8081)], count: 1, upload });
        process.kill(agent.pid, "SIGCONT");
        if (learnsLate) {
          await observed.exchanges(1);
          observed.api.put(podObject(key));
        }

        const where = { [ATTR_K8S_POD_NAME]: podName(key) };
        await observed.settled("its connection", () => observed.ends(where).client.closed >= 1);
        const sum = { opened: 1, failed: 0, closed: 1, open: 0, handshakes: 1, durations: 1 };
        expect(counts).toMatchObject({ opened: 1, closed: 1, bytesSent: upload });
        expect(observed.ends(where).client).toEqual({ ...sum, bytesSent: upload, bytesReceived: 0 });
        const [container] = observed.describedPod(key).containers;
        const names = [ATTR_K8S_NAMESPACE_NAME, ATTR_K8S_POD_NAME, ATTR_K8S_CONTAINER_NAME, ATTR_CONTAINER_ID];
        const told = bytesBy(observed.receiver.points, names, { role: "client", port: 8081, direction: "transmit" });
        expect(told).toContainEqual(["batch", podName(key), "main", container.id, upload]);
        expect(observed.losses()).toEqual({});
      });

    function podName(key: string): string {
      return observed.describedPod(key).name;
    }

    function podObject(key: string): ApiObject {
      const object = labObjects(observed.lab.description).find(({ metadata }) => metadata.name === podName(key));
      if (!object) throw new Error(`the lab has no object of ${key}`);
      return object;
    }

    function uid(key: string): string {
      return observed.describedPod(key).uid;
    }

    function store(port: number, family: "v4" | "v6" = "v4"): Endpoint {
      return { address: observed.lab.pod("store").ips[family], port };
    }

    /** Plays in a container whose cgroups are made just before and gone right after. */
    async function liveShortly(key: string, options: ClientOptions): Promise<Counts> {
      const pod = observed.lab.pod(key);
      const cgroup = pod.place.cgroup;
      removePodCgroups(cgroup);
      mkdirSync(cgroup, { recursive: true });
      const counts = await pod.play("send", options);
      removePodCgroups(cgroup);
      return counts;
    }
  });

function byText(a: readonly unknown[], b: readonly unknown[]): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** A container's cgroup, then its pod's. */
function removePodCgroups(container: string): void {
  rmdirSync(container);
  rmdirSync(dirname(container));
}
