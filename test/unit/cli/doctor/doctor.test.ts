/** What doctor makes of facts. */
import { describe, expect, test } from "vitest";
import {
  checkKernel,
  checkMemlock,
  checkProbeProgram,
  type ProbeCheck,
} from "../../../../agent/cli/doctor/check-kernel.ts";
import { checkModules, NODE_MODULES } from "../../../../agent/cli/doctor/check-modules.ts";
import { checkAgent, checkCollector, checkKubernetes } from "../../../../agent/cli/doctor/check-reach.ts";
import { canRun, type Finding, findingsText } from "../../../../agent/cli/doctor/finding.ts";

const HOOK = {
  name: "tcp_send_reset",
  tracepoint: "tcp_send_reset",
  required: false,
  found: true,
  attached: true,
  cost: "resets sent",
};

/** A machine on which everything works. */
function machine(change: Partial<ProbeCheck> = {}): ProbeCheck {
  return {
    version: "0.1.0",
    protocol: 1,
    kernel: "6.18.0",
    machine: "x86_64",
    can_run: true,
    btf: true,
    load: { ok: true, problem: "" },
    hooks: [{ ...HOOK, name: "inet_sock_set_state", required: true, cost: "nothing can be counted" }, HOOK],
    iterators: { bpf_sk_storage_map: true, task_file: true },
    sockets_by_address: { possible: true, asked: false },
    cgroup_names: true,
    bpffs: { mounted: true, path: "/sys/fs/bpf" },
    cgroup_v2: { mounted: true, used: true, path: "/sys/fs/cgroup" },
    memlock: { unlimited: false, bytes: 8 * 1024 * 1024 },
    capabilities: { bpf: true, perfmon: true, sys_admin: true },
    proc_snmp: true,
    ...change,
  };
}

const notOk = (findings: readonly Finding[]) => findings.filter(({ state }) => state !== "ok");

describe("the kernel", () => {
  test("of a good machine is fine in every point", () => {
    const findings = checkKernel(machine());

    expect(notOk(findings)).toEqual([]);
    expect(findings.map(({ name }) => name)).toEqual([
      "kernel",
      "BTF",
      "capabilities",
      "programs load",
      "hook inet_sock_set_state",
      "hook tcp_send_reset",
      "iterator bpf_sk_storage_map",
      "iterator task_file",
      "bpffs",
      "cgroup v2",
      "cgroup names",
      "host's /proc",
    ]);
  });

  const LACKS: [string, Partial<ProbeCheck>, [name: string, state: string, lost: string][]][] = [
    [
      "BTF",
      { btf: false, load: { ok: false, problem: "no BTF" } },
      [
        ["BTF", "fail", "nothing can be counted"],
        ["programs load", "fail", "nothing can be counted"],
      ],
    ],
    [
      "privileges",
      { capabilities: { bpf: true, perfmon: false, sys_admin: false }, load: { ok: false, problem: "run with sudo" } },
      [
        ["capabilities", "fail", "the probe cannot load its programs"],
        ["programs load", "fail", "nothing can be counted"],
      ],
    ],
    [
      "an optional hook",
      { hooks: [{ ...HOOK, found: false, attached: false }] },
      [["hook tcp_send_reset", "warn", "resets sent"]],
    ],
    [
      "the required hook",
      { hooks: [{ ...HOOK, required: true, attached: false }] },
      [["hook tcp_send_reset", "fail", "resets sent"]],
    ],
    [
      "the walk over what lies in sockets",
      { iterators: { bpf_sk_storage_map: false, task_file: true } },
      [["iterator bpf_sk_storage_map", "warn", expect.stringContaining("262,144 open sockets, or a tenant's share")]],
    ],
    [
      "both ways to keep what is known of sockets",
      {
        iterators: { bpf_sk_storage_map: false, task_file: true },
        sockets_by_address: { possible: false, asked: false },
      },
      [["iterator bpf_sk_storage_map", "fail", "nothing can be counted"]],
    ],
    [
      "adoption",
      { iterators: { bpf_sk_storage_map: true, task_file: false } },
      [["iterator task_file", "warn", "connections that were open before the probe started"]],
    ],
    [
      "bpffs and the right to mount it",
      { bpffs: { mounted: false, path: "" }, capabilities: { bpf: true, perfmon: true, sys_admin: false } },
      [["bpffs", "fail", "the probe cannot pin its maps"]],
    ],
    [
      "used cgroups",
      { cgroup_v2: { mounted: true, used: false, path: "/sys/fs/cgroup/unified" } },
      [
        [
          "cgroup v2",
          "warn",
          "containers are told apart by net namespace and address only: hostNetwork pods and services of the host are one",
        ],
      ],
    ],
    ["cgroup names", { cgroup_names: false }, [["cgroup names", "warn", "pods and units have no names"]]],
    [
      "the host's /proc",
      { proc_snmp: false },
      [
        [
          "host's /proc",
          "warn",
          "coverage: nothing says how much of the traffic was seen; connections that are older than the probe",
        ],
      ],
    ],
  ];

  test("that the tests' own variable took the walk away is not blamed on it", () => {
    const iterators = { bpf_sk_storage_map: false, task_file: true };
    const sockets_by_address = { possible: true, asked: true };

    expect(notOk(checkKernel(machine({ iterators, sockets_by_address })))).toEqual([
      expect.objectContaining({
        found: "FLOWSPAN_SOCKETS=by-address leaves it out: sockets are known by address",
        remedy: "unset FLOWSPAN_SOCKETS",
      }),
    ]);
  });

  test.each(LACKS)("without %s says what is lost and what to do", (_name, change, expected) => {
    const findings = notOk(checkKernel(machine(change)));

    expect(findings.map(({ name, state, lost }) => [name, state, lost])).toEqual(expected);
    for (const { remedy } of findings) expect(remedy).toMatch(/\S/);
  });

  test("bpffs that is not mounted is fine where the probe may mount it", () => {
    expect(notOk(checkKernel(machine({ bpffs: { mounted: false, path: "" } })))).toEqual([]);
  });

  test("a small memlock limit matters only to kernels that charge maps to it", () => {
    const small = { unlimited: false, bytes: 65536 };

    expect([checkMemlock(small, false), checkMemlock(small, true)].map(({ state, found }) => [state, found])).toEqual([
      ["ok", "64 KiB; this kernel charges BPF maps to the memory cgroup instead"],
      ["warn", "64 KiB"],
    ]);
  });
});

describe("the programs", () => {
  test("a probe that is missing, or of another protocol, stops the main job", () => {
    const missing = checkProbeProgram({ error: "there is none", remedy: "make build" }, 1);
    const other = checkProbeProgram(machine(), 2);

    expect([missing, other]).toEqual([
      {
        name: "probe program",
        state: "fail",
        found: "there is none",
        lost: "nothing can be counted",
        remedy: "make build",
      },
      {
        name: "probe program",
        state: "fail",
        found: "flowspan-probe 0.1.0 speaks protocol 1, this agent 2",
        lost: "nothing can be counted",
        remedy: "make build",
      },
    ]);
  });

  test("an agent that runs and is not ready is a warning with its reasons; none is no trouble", () => {
    const checks = [
      { name: "probe", ok: false, detail: "gone" },
      { name: "names", ok: true, detail: "" },
    ];

    expect(checkAgent({ socket: "/s", ready: { checks } })).toMatchObject({ state: "warn", found: "probe: gone" });
    expect(checkAgent({ socket: "/s", ready: { error: "ENOENT" } })).toEqual({
      name: "agent",
      state: "ok",
      found: "none answers on /s (ENOENT)",
    });
  });
});

describe("the surroundings", () => {
  test("only a cluster's node needs modules, and one of two alternatives is enough", () => {
    const all = new Set(NODE_MODULES.map(({ name }) => name));
    all.delete("ip_tables");
    const withoutNat = new Set(all);
    withoutNat.delete("nf_nat");

    expect(checkModules(new Set(), false)).toEqual([
      { name: "node modules", state: "ok", found: "no kubelet here: not needed" },
    ]);
    expect(notOk(checkModules(all, true))).toEqual([]);
    expect(notOk(checkModules(withoutNat, true))).toEqual([
      {
        name: "module nf_nat",
        state: "warn",
        found: "address translation: neither loaded, loadable nor built in",
        lost: "Services cannot be reached: peers stay unnamed behind cluster addresses",
        remedy: "modprobe nf_nat",
      },
    ]);
  });

  test("a Collector that does not answer stops the main job", () => {
    const facts = { target: "c:4317", failure: "UNAVAILABLE", remedy: "start it" };

    expect(checkCollector({ signal: "metrics", ...facts })).toEqual({
      name: "Collector",
      state: "fail",
      found: "c:4317: UNAVAILABLE",
      lost: "nothing arrives; counters wait in the kernel until it answers",
      remedy: "start it",
    });
    expect(checkCollector({ signal: "traces", ...facts })).toMatchObject({ name: "Collector, spans", state: "warn" });
    expect(checkCollector({ signal: "metrics", target: "c:4317", failure: undefined }).state).toBe("ok");
  });

  test("each verb that RBAC refuses is a warning of its own, in the API server's words", () => {
    const trouble = { found: "status 403: no", remedy: "grant it" };
    const findings = checkKubernetes({ server: "s", rules: { "list pods": undefined, "watch pods": trouble } });

    expect(findings.map(({ name, state, found, lost, remedy }) => [name, state, found, lost, remedy])).toEqual([
      ["API server", "ok", "s answers", undefined, undefined],
      ["RBAC list pods", "ok", "allowed", undefined, undefined],
      ["RBAC watch pods", "warn", "status 403: no", "pods have no names", "grant it"],
    ]);
  });

  test("a node's name that no node has costs the names of its pods, and the remedy is the right one", () => {
    const trouble = 'no node is called "x", its pods have no names: set kubernetes.node (--node) to "node-1"';
    const nodes = [undefined, trouble].map((each) => ({ name: "x", trouble: each }));

    expect(nodes.map((node) => checkKubernetes({ server: "s", node }).at(-1))).toEqual([
      { name: "node", state: "ok", found: 'the cluster has a node "x"' },
      {
        ...{ name: "node", state: "warn", found: 'no node is called "x", its pods have no names' },
        ...{ lost: "pods of this node have no names", remedy: 'set kubernetes.node (--node) to "node-1"' },
      },
    ]);
  });

  test("an API server out of reach costs names, not the main job; one that nobody named is no trouble", () => {
    const away = checkKubernetes({ server: "s", failure: { found: "refused", remedy: "start it" } });

    expect([away[0]?.state, away[0]?.remedy, canRun(away)]).toEqual(["warn", "start it", true]);
    expect(checkKubernetes({ skipped: "off" })[0]?.state).toBe("ok");
  });
});

test("the report for people has a verdict, and shows losses and remedies below their finding", () => {
  const findings: Finding[] = [
    { name: "a", state: "ok", found: "good" },
    { name: "bc", state: "fail", found: "bad", lost: "all", remedy: "mend it" },
    { name: "d", state: "warn", found: "so so" },
  ];

  expect(findingsText(findings, false)).toBe(
    [
      "ok    a  good",
      "FAIL  bc bad",
      "         lost:   all",
      "         remedy: mend it",
      "warn  d  so so",
      "",
      "flowspan cannot do its main job here: 1 failed, 1 with less",
      "",
    ].join("\n"),
  );
});
