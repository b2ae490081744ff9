/** What an agent makes of the addresses behind the directory's name. DNS is a fake; replicas are on loopback. */
import { lookup } from "node:dns/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { liveness } from "../../../agent/admin/health.ts";
import { eventually, nowMs, startAsking } from "./serving.ts";

vi.mock("node:dns/promises", () => ({ lookup: vi.fn() }));

/** From now on; without any the name stands for nothing. */
function resolveTo(...addresses: readonly string[]): void {
  vi.mocked(lookup).mockImplementation((async () => {
    if (addresses.length === 0) throw new Error("getaddrinfo ENOTFOUND directory.test");
    return addresses.map((address) => ({ address, family: 4 }));
  }) as unknown as typeof lookup);
  onTestFinished(() => void vi.mocked(lookup).mockReset());
}

test("an agent whose directory has no address is alive for as long as it tries", async () => {
  resolveTo();
  let laterMs = 0;
  const { client } = startAsking(["directory.test:9483"], { nowMs: () => nowMs() + laterMs });
  const tries = () => client.state.failures.DNS ?? 0;
  await eventually(() => expect(tries()).toBeGreaterThan(0));

  laterMs = 3_600_000;
  const before = tries();
  await eventually(() => expect(tries()).toBeGreaterThan(before + 1));

  const loop = { nowMs: 0, startedMs: 0, lastTurnMs: 0, lastExchangeMs: 0, intervalMs: 15_000, trouble: undefined };
  expect(liveness({ ...loop, metadata: [client.state] }).checks.filter(({ ok }) => !ok)).toEqual([]);
  // What it knows grows old all the same.
  expect(client.state.ageMs).toBeGreaterThanOrEqual(3_600_000);
});
