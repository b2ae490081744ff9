/** What is trusted where no CA is named is what the machine trusts. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { certificatesIn } from "../../../agent/tls/pem.ts";
import { readStore } from "../../../agent/tls/system-roots.ts";
import { makeCertificates } from "./certificates.ts";

const made = makeCertificates();
afterAll(() => made[Symbol.dispose]());
const { directory, path, file } = made;
const pem = (name: string) => certificatesIn(readFileSync(path(name)))[0] ?? "";
const CA = pem("ca.pem");
const OTHER = pem("server.pem");

describe("the store", () => {
  mkdirSync(join(directory, "store"));
  file("store/a.pem", `# a comment\n${CA}\n`);
  file("store/b.pem", CA);
  file("store/broken.pem", OTHER.replace(/[a-z]/g, "A"));
  const bundle = file("bundle.pem", `${OTHER}\n${CA}\n`);
  const store = path("store");

  test("is the first file that is there and the directories, each certificate once", () => {
    expect(readStore({}, ["/nowhere", bundle, path("client.pem")], ["/nowhere", store])).toEqual({
      description: `${bundle} and ${store}`,
      certificates: [OTHER, CA],
    });
  });

  test("is what SSL_CERT_FILE and SSL_CERT_DIR name, instead", () => {
    const env = { SSL_CERT_FILE: path("client.pem"), SSL_CERT_DIR: `/nowhere:${store}` };

    expect(readStore(env, [bundle], [directory])).toEqual({
      description: `${path("client.pem")} (SSL_CERT_FILE) and ${store} (SSL_CERT_DIR)`,
      certificates: [pem("client.pem"), CA],
    });
  });

  test("is empty on a machine without one", () => {
    expect(readStore({}, ["/nowhere.pem"], ["/nowhere"])).toEqual({
      description: "nothing in /nowhere",
      certificates: [],
    });
  });
});

/** In a process of its own: what is trusted is the process'. */
function trustedBy(env: Record<string, string>): { said: string; ours: boolean; count: number } {
  const url = new URL("../../../agent/tls/system-roots.ts", import.meta.url).href;
  const script = `
    import { getCACertificates } from "node:tls";
    import { readFileSync } from "node:fs";
    const { trustSystem } = await import("${url}");
    const said = trustSystem();
    const ours = readFileSync("${path("ca.pem")}", "utf8").trim();
    const trusted = getCACertificates("default").map((pem) => pem.trim());
    console.log(JSON.stringify({ said, ours: trusted.includes(ours), count: trusted.length }));`;
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/CERT|NODE_/.test(name)));
  const run = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script],
    {
      env: { ...clean, ...env },
      encoding: "utf8",
    },
  );
  return JSON.parse(run.stdout);
}

describe("a process", () => {
  test("trusts the store and nobody else", () => {
    const env = { SSL_CERT_FILE: path("ca.pem"), SSL_CERT_DIR: "/nowhere" };

    expect(trustedBy(env)).toEqual({ said: `${path("ca.pem")} (SSL_CERT_FILE)`, ours: true, count: 1 });
  });

  test("trusts NODE_EXTRA_CA_CERTS on top of it", () => {
    const env = { SSL_CERT_FILE: path("server.pem"), SSL_CERT_DIR: "/nowhere", NODE_EXTRA_CA_CERTS: path("ca.pem") };

    expect(trustedBy(env)).toMatchObject({ ours: true, count: 2 });
  });

  test("trusts Node's own where the store is empty", () => {
    const { said, ours, count } = trustedBy({ SSL_CERT_FILE: "/nowhere/file", SSL_CERT_DIR: "/nowhere" });

    expect({ said, ours, many: count > 50 }).toEqual({
      said: "Node's own certificates (nothing in /nowhere/file (SSL_CERT_FILE), /nowhere (SSL_CERT_DIR))",
      ours: false,
      many: true,
    });
  });
});
