/** What an agent makes of the addresses behind the directory's name. DNS is a fake; replicas are on loopback. */
import { lookup } from "node:dns/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { liveness } from "../../../agent/telemetry/health.ts";
import { freePorts } from "../../shared/free-ports.ts";
import { eventually, nowMs, startAsking, startServing } from "./serving.ts";

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

test("an agent that loses a replica goes to one that is there now, not to one that was there once", async () => {
  const [port] = await freePorts(1);
  const serve = (ip: string) => startServing({ replica: ip, listen: `${ip}:${port}` });
  const old = [await serve("127.0.0.2"), await serve("127.0.0.3")];
  resolveTo("127.0.0.2", "127.0.0.3");
  const asking = startAsking([`directory.test:${port}`]);
  await eventually(() => expect(asking.client.state.replica).toBeDefined());
  const [mine, other] = asking.client.state.replica?.startsWith("127.0.0.2") ? old : old.toReversed();

  // As a rolling update does it.
  await other?.server.close();
  await serve("127.0.0.4");
  resolveTo("127.0.0.4");
  await mine?.server.close();

  await eventually(() => expect(asking.client.state.replica).toBe(`127.0.0.4 (127.0.0.4:${port})`));
  expect(asking.client.state).toMatchObject({ connects: 2, failures: {} });
  expect(asking.logged.filter(({ level }) => level === "warn")).toEqual([]);
});

test("an agent whose only replica ends its streams at once waits between connects", async () => {
  const { address } = await startServing({ streamMs: 1 });
  const startedMs = performance.now();
  const { client } = startAsking([address], { backoff: { firstMs: 100, maxMs: 100 } });

  await eventually(() => expect(client.state.connects).toBe(6));

  // Five waits of half of it at the least.
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(250);
});
