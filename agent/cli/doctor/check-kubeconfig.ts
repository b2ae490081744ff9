/**
 * What doctor says of a kubeconfig's files: root, who runs doctor, can read them all, and the user that the agent
 * becomes may not.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Settings } from "../../config/settings.ts";
import { kubeconfigFiles } from "../../kubernetes/kubeconfig-connection.ts";
import type { Finding } from "./finding.ts";

export interface UnreadableFiles {
  readonly user: number;
  readonly files: readonly string[];
}

export async function askKubeconfigFiles({ user, kubernetes }: Settings): Promise<UnreadableFiles> {
  const { kubeconfig, enabled } = kubernetes;
  if (process.getuid?.() !== 0 || kubeconfig === undefined || enabled === "off") return { user, files: [] };
  // What is wrong with the kubeconfig itself is reported by the question to its server.
  const files = await kubeconfigFiles(kubeconfig).catch(() => [kubeconfig]);
  return { user, files: files.filter((path) => existsSync(path) && isKeptFrom(user, path)) };
}

function isKeptFrom(user: number, path: string): boolean {
  return spawnSync("test", ["-r", path], { uid: user, gid: user, stdio: "ignore" }).status === 1;
}

export function checkKubeconfigFiles({ user, files }: UnreadableFiles): Finding[] {
  if (files.length === 0) return [];
  return [
    {
      name: "kubeconfig",
      state: "warn",
      found: `the agent becomes user ${user}, who may not read ${files.join(", ")}`,
      lost: "pods, Services and nodes have no names",
      remedy: `let that user read it, or name in kubernetes.kubeconfig (--kubeconfig) what it can read, or another --user`,
    },
  ];
}
