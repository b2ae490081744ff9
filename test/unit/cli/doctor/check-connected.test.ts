/** What doctor makes of a running agent's probe, where none is beside it. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkConnected, FEATURES } from "../../../../agent/cli/doctor/check-connected.ts";
import { canRun, type Finding } from "../../../../agent/cli/doctor/finding.ts";
import { Feature } from "../../../../agent/generated/layout.ts";

const NONE = { error: "there is none", remedy: "make build", isNowhere: true } as const;
const ALL = Object.values(Feature).reduce<number>((bits, bit) => bits | (1 << bit), 0);
const ANSWERS = { name: "probe", ok: true, detail: "answers" };

function asked(features: number, checks = [ANSWERS]): Finding[] {
  const probe = { protocol: 1, kernel: "6.18.0", features: String(features) };
  return checkConnected(NONE, { socket: "/s", ready: { checks }, probe }, true);
}

test("a probe that answers with every feature is fine in every point, and what it cannot tell is said", () => {
  const findings = asked(ALL);

  expect(findings.filter(({ state }) => state !== "ok")).toEqual([]);
  expect(findings.map(({ name }) => name)).toEqual([
    "probe program",
    "kernel",
    "hook inet_sock_set_state",
    "hook tcp_retransmit_skb",
    "hook tcp_retransmit_synack",
    "hook tcp_send_reset",
    "hook tcp_receive_reset",
    "cgroup names",
    "cgroup v2",
    "host's /proc",
    "hook kfree_skb",
    "hook neigh_timer_handler",
    "iterator bpf_sk_storage_map",
    "whole machine",
    "not asked",
  ]);
  expect(findings.at(-1)?.found).toContain("ds/flowspan-probe -- flowspan-probe --check --pins /bpf/flowspan");
});

test.each(Object.entries(Feature))("without %s says what is lost, and the main job can run", (feature, bit) => {
  const findings = asked(ALL & ~(1 << bit));

  const { name, lost } = FEATURES[feature as keyof typeof Feature];
  const notOk = findings.filter(({ state }) => state !== "ok");
  expect(notOk.map((finding) => [finding.name, finding.state, finding.lost])).toEqual([[name, "warn", lost]]);
  expect(canRun(findings)).toBe(true);
});

test("what is lost without a hook is said in the probe's own words", () => {
  const source = readFileSync(new URL("../../../../bpf/load/features.c", import.meta.url), "utf8");
  const rows = [...source.matchAll(/\{ "(\w+)", "\w+", \w+, (FEATURE_\w+),\s+"([^"]+)",\s+\w+ \}/g)];

  expect(rows.length).toBe(6);
  for (const [, program, feature, cost] of rows)
    expect(FEATURES[feature as keyof typeof Feature]).toEqual({ name: `hook ${program}`, lost: cost });
});

test("no agent, or one whose probe is away, stops the main job", () => {
  const noAgent = checkConnected(NONE, { socket: "/s", ready: { error: "ENOENT" } }, false);
  const away = asked(ALL, [{ name: "probe", ok: false, detail: "gone" }]);
  const never = checkConnected(NONE, { socket: "/s", ready: { checks: [ANSWERS] } }, true);

  expect([noAgent, away, never].map((findings) => findings.map(({ state, found }) => [state, found]))).toEqual([
    [["fail", "there is none"]],
    [["fail", "none here, and the agent on /s has no probe: gone"]],
    [["fail", "none here, and the agent on /s has no probe: it has told of none"]],
  ]);
});
