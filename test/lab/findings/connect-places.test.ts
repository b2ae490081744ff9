/**
 * Connects of several pods that get no answer from one pod are connect_unanswered of each of them, and each names that pod as the
 * place: others of its node answer.
 *
 *   node-1: client, other ── node-2: broken, sound; node-3: sound-too; a probe and an agent each, an exchange a second
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_FINDING_PLACE,
  ATTR_FLOWSPAN_FINDING_PLACE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { describe } from "../world/describe.ts";
import { foundLab, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const PORT = 8080;
const CLIENTS = ["client", "other"] as const;
const SERVERS = ["broken", "sound", "sound-too"] as const;

const lab = foundLab<(typeof CLIENTS)[number] | (typeof SERVERS)[number]>(
  NEEDS,
  describe({
    nodes: 3,
    pods: [
      ...CLIENTS.map((key) => ({ key, node: "node-1" })),
      ...SERVERS.map((key) => ({ key, node: key === "sound-too" ? "node-3" : "node-2" })),
    ],
  }),
  ["client", "other"],
  ({ pod }) => Promise.all(SERVERS.map((key) => pod(key).serve({ listen: [{ port: PORT }] }))),
);

test(
  "connects of two pods to a third one that is not reached have its name as their place",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const healthy = CLIENTS.map((key) =>
      lab.pod(key).start("send", {
        to: [...lab.to("sound", PORT), ...lab.to("sound-too", PORT)],
        ...{ count: 0, parallel: 4, paceMs: 50 },
      }),
    );
    const drops = await Promise.all(
      CLIENTS.map((from) => lab.observed.lab.drop({ from, to: "broken", port: PORT, answer: "lose" })),
    );

    const failed = await Promise.all(
      CLIENTS.map((key) =>
        lab.pod(key).play("fail", { to: lab.to("broken", PORT), count: 29, parallel: 29, synRetries: 1 }),
      ),
    );
    await watch.until("both starts", () => watch.starts("connect_unanswered").length === CLIENTS.length);
    for (const each of [...healthy, ...drops]) await ("remove" in each ? each.remove() : each.process.stop("SIGKILL"));
    await watch.over();

    expect(failed.map((each) => each.failed)).toEqual([{ ETIMEDOUT: 29 }, { ETIMEDOUT: 29 }]);
    const places = watch.starts("connect_unanswered").map(({ resource, attributes }) => ({
      pod: resource[ATTR_K8S_POD_NAME],
      place: attributes[ATTR_FLOWSPAN_FINDING_PLACE],
      name: attributes[ATTR_FLOWSPAN_FINDING_PLACE_NAME],
    }));
    const expected = CLIENTS.map((key) => ({
      pod: lab.observed.describedPod(key).name,
      ...{ place: "peer_pod", name: lab.nameOf("broken") },
    }));
    expect(places.sort((a, b) => String(a.pod).localeCompare(String(b.pod)))).toEqual(
      expected.sort((a, b) => a.pod.localeCompare(b.pod)),
    );
    expect(watch.names).toEqual(["connect_unanswered"]);
  },
  TIMEOUT_MS,
);
