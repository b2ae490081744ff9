/**
 * A cluster of many generated pods (cluster-server.ts) and the surroundings of a pod in it, for whole programs:
 * they find their service account where a kubelet would put it, in a mount namespace of their own.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { makeServiceAccount, type ServiceAccount } from "./service-account.ts";

const SERVER = join(import.meta.dirname, "cluster-server.ts");

export interface GeneratedCluster {
  /** Puts a command into the surroundings of a pod: to be followed by the command. */
  readonly through: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** A kubeconfig for programs outside of the cluster. */
  readonly kubeconfig: string;
  /** A directory for a program's own files. */
  readonly files: string;
  /** Moves a pod to another address. */
  change(pod: number, address: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startGeneratedCluster(pods: number): Promise<GeneratedCluster> {
  const files = mkdtempSync(join(tmpdir(), "flowspan-cluster-"));
  const path = (name: string) => join(files, name);
  const account = makeServiceAccount(path("account"));

  const argv = ["--disable-warning=ExperimentalWarning", SERVER, String(pods), account.caFile, account.keyFile];
  const child = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
  const killNow = () => child.kill("SIGKILL");
  process.on("exit", killNow);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = Number(line.toString());
  const ca = readFileSync(account.caFile);
  writeFileSync(path("kubeconfig"), kubeconfigText(port, account));
  return {
    files,
    kubeconfig: path("kubeconfig"),
    through: ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", AS_IN_A_POD, account.directory],
    env: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(port) },
    async change(pod, address) {
      const sent = request({
        host: "127.0.0.1",
        port,
        ca,
        path: `/change?pod=${pod}&address=${address}`,
        agent: false,
      });
      sent.end();
      const [answer] = await once(sent, "response");
      answer.resume();
      await once(answer, "end");
    },
    async stop() {
      const ended = once(child, "exit");
      killNow();
      await ended;
      process.off("exit", killNow);
      rmSync(files, { recursive: true });
    },
  };
}

/** `$0` holds what the kubelet would have put there. */
const AS_IN_A_POD = `
mount -t tmpfs tmpfs /run &&
mkdir -p /run/secrets/kubernetes.io/serviceaccount /run/flowspan &&
cp "$0"/ca.crt "$0"/token /run/secrets/kubernetes.io/serviceaccount/ &&
exec "$@"`;

function kubeconfigText(port: number, { caFile, token }: ServiceAccount): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority": caFile } }],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
}

/** The most that a process has had resident. */
export function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

/** @returns milliseconds until it held; undefined when `withinMs` passed or `isOver` said so */
export async function timeUntil(
  condition: () => Promise<boolean>,
  withinMs: number,
  isOver: () => boolean = () => false,
): Promise<number | undefined> {
  const beganMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - beganMs > withinMs || isOver()) return undefined;
    await sleep(10);
  }
  return performance.now() - beganMs;
}
