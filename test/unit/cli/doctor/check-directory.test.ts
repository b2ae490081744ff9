/** Doctor asks real replicas on loopback: what it says of each way in which one may not answer. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { askDirectory, checkDirectory } from "../../../../agent/cli/doctor/check-directory.ts";
import { canRun, type Finding } from "../../../../agent/cli/doctor/finding.ts";
import { settingsFrom } from "../../../../agent/config/setting-rows.ts";
import type { Settings } from "../../../../agent/config/settings.ts";
import { freePorts } from "../../../shared/free-ports.ts";
import { certificates, type ServingOptions, startServing as startBare } from "../../directory/serving.ts";
import { node } from "../../naming/cluster-builders.ts";

/** A replica that knows the agent's node. */
async function startServing(options: ServingOptions = {}) {
  const serving = await startBare(options);
  serving.put("nodes", node("node-1"));
  return serving;
}

/** What doctor says to an agent that asks these replicas. */
async function doctor(directory: Partial<Settings["directory"]>, metadata = "directory"): Promise<Finding[]> {
  const values = Object.entries(directory).map(([key, value]): [string, unknown] => [`directory.${key}`, value]);
  const kubernetes: [string, unknown][] = [
    ["kubernetes.metadata", metadata],
    ["kubernetes.kubeconfig", "/nowhere/kubeconfig"],
    ["kubernetes.node", "node-1"],
  ];
  return checkDirectory(await askDirectory(settingsFrom(new Map([...kubernetes, ...values])), {}));
}

/** State and the kind of remedy, which is what tells the troubles apart. */
const gist = ([finding]: readonly Finding[]) => [
  finding?.state,
  finding?.found,
  finding?.remedy?.split(" ").slice(0, 5).join(" "),
];

test("a replica that answers is fine, with its name and the age of what it knows", async () => {
  const { address } = await startServing({ ageMs: () => 2_300 });

  expect(await doctor({ addresses: [address], insecure: true })).toEqual([
    { name: `directory ${address}`, state: "ok", found: "replica-1 answers; its names were confirmed 2 s ago" },
  ]);
});

test("one that has not read the cluster, and one that is away, are told apart; neither stops the main job", async () => {
  const { address } = await startServing({ isSynced: false });
  const [port] = await freePorts(1);

  const findings = await doctor({ addresses: [address, `127.0.0.1:${port}`], insecure: true });

  const lost = "peers on other nodes have no names";
  expect(findings).toEqual([
    {
      ...{ name: `directory ${address}`, state: "warn", lost },
      found: "this replica has not read the cluster yet: pods, services, endpoint-slices, nodes, namespaces",
      remedy: "kubectl -n flowspan logs -l app.kubernetes.io/name=flowspan-directory; apply deploy/manifests/directory",
    },
    {
      ...{ name: `directory 127.0.0.1:${port}`, state: "warn", lost },
      found: expect.stringMatching(/ECONNREFUSED 127\.0\.0\.1:\d+$/),
      remedy:
        "kubectl -n flowspan get pods -l app.kubernetes.io/name=flowspan-directory; a NetworkPolicy must let agents in",
    },
  ]);
  expect(canRun(findings)).toBe(true);
});

test("a replica that names services by other rules than the agent is told as that", async () => {
  const { address } = await startServing({ appLabels: true });

  const findings = await doctor({ addresses: [address], insecure: true });

  expect(findings).toEqual([
    {
      ...{ name: `directory ${address}`, state: "warn" },
      found: "it answers, but its kubernetes.app_labels is not this agent's",
      lost: "services have one name of their own and another one as peers",
      remedy: "set kubernetes.app_labels alike in the ConfigMaps flowspan and flowspan-directory, and restart both",
    },
  ]);
  expect(canRun(findings)).toBe(true);
});

test("a replica that knows no node of the agent's name says so", async () => {
  const { address } = await startBare();

  expect(await doctor({ addresses: [address], insecure: true })).toEqual([
    {
      ...{ name: `directory ${address}`, state: "warn" },
      found: 'the directory knows no node called "node-1", its pods have no names',
      lost: "pods of this node have no names",
      remedy: "set kubernetes.node (--node) to spec.nodeName of this node's pods",
    },
  ]);
});

test("while another replica answers, nothing is lost", async () => {
  const { address } = await startServing();
  const [port] = await freePorts(1);

  const findings = await doctor({ addresses: [address, `127.0.0.1:${port}`], insecure: true });

  expect(findings.map(({ state, lost }) => [state, lost])).toEqual([
    ["ok", undefined],
    ["warn", "nothing while another replica answers"],
  ]);
});

test("a name that stands for nothing is told as that", async () => {
  expect(gist(await doctor({ addresses: ["directory.invalid:9483"], insecure: true }))).toEqual([
    "warn",
    expect.stringMatching(/^directory\.invalid: getaddrinfo /),
    "kubectl -n flowspan get service",
  ]);
});

test("a token that is missing or wrong, and a file that is not there, are told with what mends them", async () => {
  const made = certificates();
  made.make("server");
  writeFileSync(made.path("accepted"), "one\n");
  writeFileSync(made.path("other"), "another\n");
  const server = {
    certFile: made.path("server.pem"),
    keyFile: made.path("server.key"),
    tokenFile: made.path("accepted"),
  };
  const { address } = await startServing({ insecure: false, ...server });
  const asked = { addresses: [address], caFile: made.path("ca.pem") };

  const remedy = "write the agent's token into";
  expect(gist(await doctor(asked))).toEqual(["warn", expect.stringContaining("wants a bearer token"), remedy]);
  expect(gist(await doctor({ ...asked, tokenFile: made.path("other") }))).toEqual([
    "warn",
    "the bearer token is none of those that are let in",
    remedy,
  ]);
  expect(gist(await doctor({ ...asked, tokenFile: made.path("nowhere") }))).toEqual([
    "warn",
    expect.stringContaining(`cannot read ${made.path("nowhere")}`),
    "mount the Secret flowspan-directory-agent: docs/directory.md",
  ]);
  expect(gist(await doctor({ ...asked, tokenFile: made.path("accepted") }))[0]).toBe("ok");
});

test("whatever keeps TLS from coming to be is told as TLS", async () => {
  const made = certificates();
  made.makeCa("other");
  for (const name of ["server", "agent"]) made.make(name);
  const server = { caFile: made.path("ca.pem"), certFile: made.path("server.pem"), keyFile: made.path("server.key") };
  const mutual = await startServing({ insecure: false, ...server });
  const plain = await startServing();
  const untrusted = { addresses: [mutual.address], caFile: made.path("other.pem") };
  const nameless = { addresses: [mutual.address], caFile: made.path("ca.pem") };
  const toPlain = { addresses: [plain.address], caFile: made.path("ca.pem") };

  const said = await Promise.all(
    [untrusted, nameless, toPlain].map(async (directory) => gist(await doctor(directory))),
  );

  expect(said.map(([state, , remedy]) => [state, remedy])).toEqual(
    said.map(() => ["warn", "set directory.ca_file to what signed"]),
  );
});

test("a port that says nothing is given up", async () => {
  const server = createServer(() => undefined).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as { port: number };

  expect((await doctor({ addresses: [`127.0.0.1:${port}`], insecure: true }))[0]?.state).toBe("warn");
});

test("an agent that watches by itself asks no directory", async () => {
  expect(await doctor({ insecure: true }, "watch")).toEqual([
    { name: "directory", state: "ok", found: "not asked: kubernetes.metadata is watch" },
  ]);
});
