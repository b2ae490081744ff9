/**
 * Missing privilege is never silence: from the containers of deploy/manifests one capability, mount or right is taken away,
 * one by one. The container then ends with a message that names it, or goes on and says what is lost.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished } from "vitest";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import type { Check, Health } from "../../agent/telemetry/health.ts";
import { holds } from "../components/running.ts";
import { NODE_FLAGS } from "../components/shipped-node.ts";
import { needs } from "../machine/needs.ts";
import { type ContainerSetup, RunningContainer } from "./container.ts";
import { agentSetup, probeSetup, type Volumes, volumesOfTest } from "./node-containers.ts";

const test = needs("root", "btf", "build", "runc");

type Taken = (setup: ContainerSetup, volumes: Volumes) => ContainerSetup;

const withoutCapability =
  (name: string): Taken =>
  (setup) => {
    const { securityContext } = setup.container;
    const add = (securityContext.capabilities.add ?? []).filter((each) => each !== name);
    const capabilities = { ...securityContext.capabilities, add };
    return { ...setup, container: { ...setup.container, securityContext: { ...securityContext, capabilities } } };
  };

const withoutMount =
  (name: string): Taken =>
  (setup) => {
    const volumeMounts = setup.container.volumeMounts.filter((mount) => mount.name !== name);
    return { ...setup, container: { ...setup.container, volumeMounts } };
  };

/** Where the host's hierarchy would be, a container without that mount sees none of the host's groups. */
const withoutCgroups: Taken = (setup, { own }) => ({ ...setup, volumes: { ...setup.volumes, cgroup: own } });

const withoutGroup: Taken = (setup) => ({ ...setup, spec: { ...setup.spec, securityContext: {} } });

const withoutHostPid: Taken = (setup) => ({ ...setup, spec: { ...setup.spec, hostPID: false } });

function running(setup: ContainerSetup): RunningContainer {
  const container = new RunningContainer(setup);
  onTestFinished(() => container.remove());
  return container;
}

/** Waits until the container has written it, or has ended. */
async function written(container: RunningContainer, text: string): Promise<string> {
  await holds(
    async () => container.words().includes(text),
    30_000,
    () => container.hasEnded,
  );
  return container.words();
}

describe("the probe ends, names what is missing, and has loaded nothing", () => {
  const ENDS: readonly (readonly [what: string, taken: Taken, words: string])[] = [
    ["CAP_BPF", withoutCapability("BPF"), "CAP_BPF is missing: run with sudo; in a container add BPF and PERFMON"],
    ["CAP_PERFMON", withoutCapability("PERFMON"), "CAP_PERFMON is missing: run with sudo; in a container add BPF"],
    ["CAP_SETUID", withoutCapability("SETUID"), "CAP_SETUID is missing, so root cannot become another user: add"],
    ["CAP_SETGID", withoutCapability("SETGID"), "CAP_SETGID is missing, so root cannot become another user: add"],
    ["the bpffs", withoutMount("bpf"), "--pins /bpf/flowspan: no bpffs is mounted there"],
    ["the socket's directory", withoutMount("run"), "--socket /run/flowspan/probe.sock: its directory cannot be used"],
    ["the agent's group", withoutGroup, "cannot give /run/flowspan/probe.sock away"],
  ];
  for (const [what, taken, words] of ENDS) {
    test(`without ${what}`, async () => {
      const volumes = volumesOfTest();

      const probe = running(taken(probeSetup(volumes), volumes));

      expect(await probe.ended).toBe(1);
      expect(probe.words()).toContain(words);
      expect(probe.words()).not.toContain("started: generation");
    });
  }
});

describe("the probe's --check cannot run either, and names what is missing", () => {
  for (const name of ["BPF", "PERFMON", "SETUID", "SETGID"]) {
    test(`without CAP_${name}`, async () => {
      const volumes = volumesOfTest();

      const check = running(withoutCapability(name)(probeSetup(volumes, ["--check"]), volumes));

      expect(await check.ended).toBe(1);
      const { can_run, load, capabilities: held } = JSON.parse(check.words());
      expect({ can_run, ok: load.ok, held: held[name.toLowerCase()] }).toEqual({
        ...{ can_run: false, ok: false, held: false },
      });
      expect(load.problem).toMatch(new RegExp(`^CAP_${name} is missing`));
      expect(load.remedy).toContain(name);
    });
  }
});

describe("the probe goes on, and says what is lost", () => {
  const GOES_ON: readonly (readonly [what: string, taken: Taken, words: string, check: object])[] = [
    [
      ...(["the host's process ids", withoutHostPid] as const),
      "no coverage, and no connection that is older than this probe",
      { proc_snmp: false },
    ],
    [
      ...(["the host's cgroups", withoutCgroups] as const),
      "sockets are told apart by net namespace and address only",
      { cgroup_v2: { used: false } },
    ],
  ];
  for (const [what, taken, words, check] of GOES_ON) {
    test(`without ${what}: in its log, and as --check says to doctor`, async () => {
      const volumes = volumesOfTest();

      const probe = running(taken(probeSetup(volumes), volumes));

      expect(await written(probe, "started: generation")).toContain(words);
      expect(probe.words()).toContain("started: generation");
      const asked = running(taken(probeSetup(volumes, ["--check"]), volumes));
      expect(await asked.ended).toBe(0);
      expect(JSON.parse(asked.words())).toMatchObject({ can_run: true, ...check });
    });
  }

  test("with all that the manifest gives, it warns of nothing", async () => {
    const volumes = volumesOfTest();

    const probe = running(probeSetup(volumes));

    expect(await written(probe, "started: generation")).toContain("started: generation");
    expect(probe.words()).not.toMatch(/"level":"(warn|error)"/);
  });
});

describe("the agent", () => {
  const IN_A_POD = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: "9" };

  /** As the manifest says, with its configuration; the receiver is away, which is no matter of privilege. */
  function wholeAgent(volumes: Volumes): ContainerSetup {
    const config = join(volumes.directory, "config");
    mkdirSync(config);
    writeFileSync(join(config, "flowspan.yaml"), 'file_format: "1.1"\n');
    const settings = ["--interval", "200", "--endpoint", "http://127.0.0.1:9"];
    const setup = agentSetup(volumes, ["/node", ...NODE_FLAGS, "/app/agent.mjs", "agent", ...settings]);
    const env = { ...setup.env, OTEL_CONFIG_FILE: "/etc/flowspan/flowspan.yaml", FLOWSPAN_NODE_NAME: "node" };
    return { ...setup, env, volumes: { ...setup.volumes, config } };
  }

  /** The check of that name as soon as it fails with these words in its detail; else as it was last seen. */
  async function failing(volumes: Volumes, agent: RunningContainer, wanted: string, words: string) {
    let check: Check | undefined;
    await holds(
      async () => {
        const answer = await askAgent(join(volumes.own, "agent/admin.sock"), "/readyz").catch(() => undefined);
        check = (answer?.body as Health | undefined)?.checks.find(({ name }) => name === wanted);
        return check?.ok === false && check.detail.includes(words);
      },
      20_000,
      () => agent.hasEnded,
    );
    return check;
  }

  const ENDS: readonly (readonly [what: string, mount: string, code: number, words: string])[] = [
    ["its configuration", "config", 2, "ls -l /etc/flowspan/flowspan.yaml"],
    ["its own directory", "run", 1, "/run/flowspan/agent"],
  ];
  for (const [what, mount, code, words] of ENDS) {
    test(`without ${what} ends and names it`, async () => {
      const volumes = volumesOfTest();

      const agent = running(withoutMount(mount)(wholeAgent(volumes), volumes));

      expect(await agent.ended).toBe(code);
      expect(agent.words()).toContain(words);
    });
  }

  test("without its token is not ready: no names, and doctor says which file is missing", async () => {
    const volumes = volumesOfTest();
    const setup = wholeAgent(volumes);

    const agent = running({ ...setup, env: { ...setup.env, ...IN_A_POD } });

    const missing = "cannot read /var/run/secrets/kubernetes.io/serviceaccount/token: there is none";
    const names = await failing(volumes, agent, "names", missing);
    expect(names, agent.words()).toMatchObject({ ok: false, detail: expect.stringContaining(missing) });
    const { output } = await agent.exec("/node /app/agent.mjs doctor");
    expect(output).toMatch(new RegExp(`warn +API server .*${missing}`));
    expect(output).toContain("pods, Services and nodes have no names");
  });

  const NOT_REACHED: readonly (readonly [what: string, taken: Taken, code: string])[] = [
    ["the directory with the probe's socket", withoutMount("probe"), "ENOENT"],
    ["the group of the probe's socket", withoutGroup, "EACCES"],
  ];
  for (const [what, taken, code] of NOT_REACHED) {
    test(`without ${what} is not ready, and says that it cannot reach the probe`, async () => {
      const volumes = volumesOfTest();
      const setup = wholeAgent(volumes);
      const { securityContext } = setup.container;
      const nobody = { ...setup.container, securityContext: { ...securityContext, runAsGroup: 65_534 } };
      const probe = running(probeSetup(volumes));
      expect(await written(probe, "started: generation")).toContain("started: generation");

      const agent = running(taken(taken === withoutGroup ? { ...setup, container: nobody } : setup, volumes));

      const message = `connect ${code} /run/flowspan-probe/probe.sock`;
      expect(await written(agent, message)).toContain(message);
      expect(await failing(volumes, agent, "probe", "")).toMatchObject({ ok: false });
    });
  }
});
