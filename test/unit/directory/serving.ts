/** A directory on loopback and agents' clients of it, all gone with the test. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { DirectoryClient, type DirectoryClientOptions } from "../../../agent/directory/client/directory-client.ts";
import { DirectoryServer, type DirectoryServerOptions } from "../../../agent/directory/server/directory-server.ts";
import { FEEDS_OF } from "../../../agent/kubernetes/reads.ts";
import type { ClusterChange, Pod } from "../../../agent/model/cluster-objects.ts";

export const nowMs = (): number => performance.now() + 1_000_000;
const QUIET = { info() {}, warn() {} };

export interface Serving {
  readonly server: DirectoryServer;
  /** `127.0.0.1:PORT` */
  readonly address: string;
  readonly port: number;
  put(feed: ClusterChange["feed"], object: object): void;
  remove(feed: ClusterChange["feed"], uid: string): void;
}

export interface ServingOptions extends Partial<DirectoryServerOptions> {
  readonly isSynced?: boolean;
}

export async function startServing({ isSynced = true, ...more }: ServingOptions = {}): Promise<Serving> {
  const server = new DirectoryServer(FEEDS_OF.directory, {
    listen: "127.0.0.1:0",
    insecure: true,
    replica: "replica-1",
    appLabels: false,
    log: QUIET,
    nowMs,
    ageMs: () => 23,
    rereadMs: 20,
    ...more,
  });
  if (isSynced) for (const feed of FEEDS_OF.directory) server.store.apply({ feed, type: "synced", atMs: nowMs() });
  const port = await server.listen();
  onTestFinished(() => server.close());
  return {
    server,
    port,
    address: `127.0.0.1:${port}`,
    put: (feed, object) => server.store.apply({ feed, type: "upsert", atMs: nowMs(), object } as ClusterChange),
    remove: (feed, uid) => server.store.apply({ feed, type: "remove", atMs: nowMs(), uid }),
  };
}

export interface Asking {
  readonly client: DirectoryClient;
  readonly changes: ClusterChange[];
  readonly logged: { readonly level: "info" | "warn"; readonly fields: object; readonly message: string }[];
  /** Address → name of the pod that has it now, as far as the client was told. */
  pods(): Record<string, string>;
  ask(address: string, port?: number): boolean;
}

export function startAsking(addresses: readonly string[], more: Partial<DirectoryClientOptions> = {}): Asking {
  const changes: ClusterChange[] = [];
  const pods = new Map<string, Pod>();
  const logged: Asking["logged"] = [];
  const client = new DirectoryClient({
    addresses,
    insecure: true,
    nodeName: "node-1",
    appLabels: false,
    log: {
      info: (fields, message) => logged.push({ level: "info", fields, message }),
      warn: (fields, message) => logged.push({ level: "warn", fields, message }),
    },
    onChange: (change) => {
      changes.push(change);
      if (change.feed !== "pods") return;
      if (change.type === "upsert") pods.set(change.object.uid, change.object as Pod);
      if (change.type === "remove") pods.delete(change.uid);
    },
    nowMs,
    backoff: { firstMs: 10, maxMs: 40 },
    firstWordMs: 2_000,
    ...more,
  });
  onTestFinished(() => client.stop());
  return {
    client,
    changes,
    logged,
    pods: () =>
      Object.fromEntries([...pods.values()].flatMap((pod) => pod.addresses.map((address) => [address, pod.name]))),
    ask: (address, port = 80) => client.answered(address, port, nowMs()),
  };
}

/**
 * Waits for a condition that an event brings about; fails with the condition's own error. Gives up before a directory's
 * sweeps and heartbeats of 10 s can bring it about.
 */
export function eventually(check: () => void, timeout = 9_000): Promise<void> {
  return vi.waitFor(check, { timeout, interval: 5 });
}

export interface Certificates {
  path(name: string): string;
  /** A key and a certificate for localhost and 127.0.0.1, signed by `ca`; replaces what was there. */
  make(name: string, ca?: string): void;
  makeCa(name: string): void;
}

/** OpenSSL's own: a directory that goes with the test. */
export function certificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-directory-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const made: Certificates = {
    path: (name) => join(directory, name),
    makeCa(name) {
      openssl(
        "req",
        "-x509",
        ...key,
        "-days",
        "1",
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.pem`,
      );
    },
    make(name, ca = "ca") {
      const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
      openssl("req", ...key, ...names, "-keyout", `${name}.key`, "-out", `${name}.csr`);
      const sign = [
        "-CA",
        `${ca}.pem`,
        "-CAkey",
        `${ca}.key`,
        "-CAcreateserial",
        "-days",
        "1",
        "-copy_extensions",
        "copy",
      ];
      openssl("x509", "-req", "-in", `${name}.csr`, ...sign, "-out", `${name}.pem`);
    },
  };
  made.makeCa("ca");
  return made;
}
