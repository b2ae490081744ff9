/** Who is let in: certificates and tokens, refused with words that say what to do, replaced while all runs. */
import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readTokens } from "../../../agent/directory/secrets.ts";
import { pod } from "../naming/cluster-builders.ts";
import { certificates, eventually, startAsking, startServing } from "./serving.ts";

const cart = pod("cart-a", { addresses: ["10.1.0.2"] });

describe("a bearer token", () => {
  function tokens() {
    const made = certificates();
    made.make("server");
    const say = (name: string, ...lines: string[]) => writeFileSync(made.path(name), `${lines.join("\n")}\n`);
    const server = {
      insecure: false,
      certFile: made.path("server.pem"),
      keyFile: made.path("server.key"),
      tokenFile: made.path("accepted"),
    };
    const agent = { insecure: false, caFile: made.path("ca.pem"), tokenFile: made.path("token") };
    return { made, say, server, agent };
  }

  test("lets in who has it; others are told that theirs is not it", async () => {
    const { say, server, agent } = tokens();
    say("accepted", "secret-of-tuesday", "secret-of-wednesday");
    say("token", "secret-of-wednesday");
    const serving = await startServing(server);
    const allowed = startAsking([serving.address], agent);
    await eventually(() => expect(allowed.client.state.replica).toContain("replica-1"));

    const without = startAsking([serving.address], { ...agent, tokenFile: undefined });
    await eventually(() => expect(without.client.state.failures.UNAUTHENTICATED).toBeGreaterThan(0));
    say("token", "secret-of-monday");
    const wrong = startAsking([serving.address], agent);
    await eventually(() => expect(wrong.client.state.failures.UNAUTHENTICATED).toBeGreaterThan(0));

    expect(without.client.state.trouble).toBe(
      `${serving.address}: UNAUTHENTICATED: this directory wants a bearer token: set directory.token_file`,
    );
    expect(wrong.client.state.trouble).toBe(
      `${serving.address}: UNAUTHENTICATED: the bearer token is none of those that are let in`,
    );
    expect(JSON.stringify([wrong.logged, without.logged])).not.toContain("secret-of");
    const failures = [without, wrong].map(({ client }) => client.state.failures.UNAUTHENTICATED ?? 0);
    expect(serving.server.stats().refusals.UNAUTHENTICATED).toBeGreaterThanOrEqual(
      (failures[0] ?? 0) + (failures[1] ?? 0),
    );
  });

  test("is read again when it is replaced: streams with the old one end, and come back with the new one", async () => {
    const { say, server, agent } = tokens();
    say("accepted", "old");
    say("token", "old");
    const serving = await startServing(server);
    serving.put("pods", cart);
    const asking = startAsking([serving.address], agent);
    asking.ask("10.1.0.2");
    await eventually(() => expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" }));

    say("token", "new");
    say("accepted", "new");
    await eventually(() => expect(asking.client.state.lists).toBe(2));

    expect(asking.client.state.failures).toEqual({ UNAUTHENTICATED: 1 });
    expect(asking.pods()).toEqual({ "10.1.0.2": "cart-a" });
  });

  test("file that cannot be read any more changes nothing", async () => {
    const { say, server, agent } = tokens();
    say("accepted", "one");
    say("token", "one");
    const warned: object[] = [];
    const log = { info() {}, warn: (fields: object, message: string) => void warned.push({ ...fields, message }) };
    const serving = await startServing({ ...server, log });
    say("accepted", "");
    await eventually(() => expect(warned.length).toBe(1));
    const asking = startAsking([serving.address], agent);

    await eventually(() => expect(asking.client.state.replica).toContain("replica-1"));

    expect(warned).toEqual([
      {
        detail: `${server.tokenFile} holds no token`,
        message: "the directory's tokens cannot be read again: the last ones stay in use",
      },
    ]);
  });
});

describe("mutual TLS", () => {
  test("refuses an agent without a certificate, and one of another authority", async () => {
    const made = certificates();
    made.makeCa("other");
    for (const [name, ca] of [
      ["server", "ca"],
      ["agent", "ca"],
      ["stranger", "other"],
    ] as const)
      made.make(name, ca);
    const files = (name: string) => ({
      insecure: false,
      caFile: made.path("ca.pem"),
      certFile: made.path(`${name}.pem`),
      keyFile: made.path(`${name}.key`),
    });
    const serving = await startServing(files("server"));
    const [agent, stranger] = ["agent", "stranger"].map((name) => startAsking([serving.address], files(name)));
    const nobody = startAsking([serving.address], { insecure: false, caFile: made.path("ca.pem") });

    await eventually(() => expect(agent?.client.state.replica).toContain("replica-1"));
    for (const refused of [stranger, nobody]) {
      await eventually(() => expect(refused?.client.state.failures.UNAVAILABLE).toBeGreaterThan(0));
      expect(refused?.client.state.synced).toBe(false);
    }
    const { refusals, streams } = serving.server.stats();
    expect({ reasons: Object.keys(refusals), streams }).toEqual({ reasons: ["tls"], streams: 1 });
    expect(refusals.tls).toBeGreaterThanOrEqual(2);
    expect(agent?.client.state.failures).toEqual({});
  });

  test("certificates of both ends are read again when they are replaced, the authority's too", async () => {
    const made = certificates();
    for (const name of ["server", "agent"]) made.make(name);
    const files = (name: string) => ({
      insecure: false,
      caFile: made.path("ca.pem"),
      certFile: made.path(`${name}.pem`),
      keyFile: made.path(`${name}.key`),
    });
    const told: string[] = [];
    const log = { info: (_: object, message: string) => void told.push(message), warn() {} };
    const serving = await startServing({ ...files("server"), log, streamMs: 1_500 });
    const asking = startAsking([serving.address], files("agent"));
    await eventually(() => expect(asking.client.state.lists).toBe(1));

    made.makeCa("ca");
    for (const name of ["server", "agent"]) made.make(name);
    await eventually(() => expect(told).toContain("the directory's certificates were replaced"));
    const before = asking.client.state.lists;
    await eventually(() => expect(asking.client.state.lists).toBeGreaterThan(before));

    const fresh = startAsking([serving.address], files("agent"));
    await eventually(() => expect(fresh.client.state.replica).toContain("replica-1"));
  });

  test("lets in the names that are set, and no other certificate of the authority", async () => {
    const made = certificates();
    for (const name of ["server", "agent"]) made.make(name);
    const files = (name: string) => ({
      insecure: false,
      caFile: made.path("ca.pem"),
      certFile: made.path(`${name}.pem`),
      keyFile: made.path(`${name}.key`),
    });
    // Every certificate that certificates() makes is for localhost.
    const own = await startServing({ ...files("server"), agentNames: ["other.example", "localhost"] });
    const others = await startServing({ ...files("server"), agentNames: ["flowspan-agent", "spiffe://a/b"] });
    const [allowed, refused] = [own, others].map(({ address }) => startAsking([address], files("agent")));

    await eventually(() => expect(allowed?.client.state.replica).toContain("replica-1"));
    await eventually(() => expect(refused?.client.state.failures.PERMISSION_DENIED).toBeGreaterThan(0));

    expect(refused?.client.state.trouble).toContain("the certificate has none of the names in directory.agent_names");
    expect(others.server.stats().refusals.PERMISSION_DENIED).toBeGreaterThan(0);
  });

  test("ends the streams of a former authority at once", async () => {
    const made = certificates();
    for (const name of ["server", "agent"]) made.make(name);
    const files = (name: string) => ({
      insecure: false,
      caFile: made.path("ca.pem"),
      certFile: made.path(`${name}.pem`),
      keyFile: made.path(`${name}.key`),
    });
    const serving = await startServing(files("server"));
    const old = startAsking([serving.address], { ...files("agent"), backoff: { firstMs: 60_000, maxMs: 60_000 } });
    await eventually(() => expect(old.client.state.lists).toBe(1));

    made.makeCa("ca");
    for (const name of ["server", "agent"]) made.make(name);

    await eventually(() => expect(old.client.state.failures).toEqual({ UNAUTHENTICATED: 1 }));
    expect(old.client.state.trouble).toContain("directory.ca_file was replaced");
    const fresh = startAsking([serving.address], files("agent"));
    await eventually(() => expect(fresh.client.state.replica).toContain("replica-1"));
  });
});

test.each([
  ["without a certificate", {}, "no certificate: set directory.cert_file and directory.key_file"],
  ["with half of a certificate", { certFile: "/nowhere/a.pem" }, "belong together: set both"],
  [
    "with a certificate that is not there",
    { certFile: "/nowhere/a.pem", keyFile: "/nowhere/a.key" },
    "cannot read /nowhere/a.pem",
  ],
  ["with a token file that is not there", { tokenFile: "/nowhere/tokens" }, "cannot read /nowhere/tokens"],
])("a directory %s says so and does not start", async (_, files, words) => {
  await expect(startServing({ insecure: false, ...files })).rejects.toThrow(words);
});

test("a token that no header carries is refused by its file, and not shown", () => {
  const path = certificates().path("token");
  writeFileSync(path, "good\nS3cr3tä\n");

  expect(() => readTokens(path)).toThrow(`${path} holds a token, number 2, with other than printable ASCII characters`);
});

test("a directory that nothing tells whom to let in does not start", async () => {
  const made = certificates();
  made.make("server");
  const files = { certFile: made.path("server.pem"), keyFile: made.path("server.key") };

  await expect(startServing({ insecure: false, ...files })).rejects.toThrow(
    "nothing says which agents are let in: set directory.ca_file (mutual TLS), directory.token_file or token_audience",
  );
});
