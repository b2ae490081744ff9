/** What the directory answers to a kubelet. */
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { expect, onTestFinished, test } from "vitest";
import { isAlive, isReady, serveHealth } from "../../../../agent/directory/server/readiness.ts";
import type { MetadataVitals } from "../../../../agent/model/metadata.ts";
import { freePorts } from "../../../shared/free-ports.ts";

const watch = (name: string, more: Partial<MetadataVitals> = {}): MetadataVitals => ({
  name,
  synced: true,
  ageMs: 0,
  idleMs: 0,
  trouble: undefined,
  ...more,
});

test("it is ready when every feed has been read, however old that is by now", () => {
  const unread = watch("services", { synced: false, trouble: "forbidden: no" });

  expect(isReady([watch("pods", { ageMs: 3_600_000, trouble: "refused" })])).toEqual({ ok: true, detail: "" });
  expect(isReady([watch("pods"), unread])).toEqual({ ok: false, detail: "services: not read yet (forbidden: no)" });
});

test("it is alive unless a watch stands still", () => {
  const still = watch("pods", { idleMs: 600_001 });

  expect(isAlive([watch("pods", { synced: false, trouble: "refused" })])).toEqual({ ok: true, detail: "" });
  expect(isAlive([still, watch("nodes")])).toEqual({ ok: false, detail: "the watch of pods stands still" });
});

test("both are answered over HTTP, with the status beside them", async () => {
  const [port] = await freePorts(1);
  const metadata = () => [watch("pods", { synced: false })];
  const health = await serveHealth(`127.0.0.1:${port}`, { metadata, status: () => ({ version: "1" }) });
  onTestFinished(() => health.close());

  const answers = await Promise.all(
    ["/healthz", "/readyz", "/status", "/"].map(
      async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).status,
    ),
  );

  expect(answers).toEqual([200, 503, 200, 404]);
});

test("an address that is taken is named, with the flag that chooses another", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void taken.close());
  await once(taken, "listening");
  const address = `127.0.0.1:${(taken.address() as { port: number }).port}`;

  await expect(serveHealth(address, { metadata: () => [], status: () => ({}) })).rejects.toThrow(
    `cannot listen on ${address}: listen EADDRINUSE: address already in use ${address}: choose another --admin-address`,
  );
});

test("its status is shown on this host only", async () => {
  const [outside] = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4");
  const health = await serveHealth("0.0.0.0:0", { metadata: () => [], status: () => ({}) });
  onTestFinished(() => health.close());
  const ask = async (host: string, path: string) => (await fetch(`http://${host}:${health.port}${path}`)).status;

  expect(await ask("127.0.0.1", "/status")).toBe(200);
  if (outside === undefined) return; // a machine without a network: nobody is outside
  expect([await ask(outside.address, "/status"), await ask(outside.address, "/healthz")]).toEqual([403, 200]);
});
