/**
 * The lab's Kubernetes metadata, served by the fake API server, and a kubeconfig that the agents' user can read.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakeApiServer } from "../../kubernetes/fake-api-server.ts";
import type { Lab } from "./lab.ts";
import { runDirectory } from "./leftovers.ts";

export interface Metadata {
  readonly api: FakeApiServer;
  /** Path of the file. */
  readonly kubeconfig: string;
}

/** Serves all objects of the lab; `api.stop()` ends it. */
export async function startMetadata(lab: Lab): Promise<Metadata> {
  const api = new FakeApiServer();
  await api.start();
  for (const object of lab.kubernetesObjects()) api.put(object);
  const kubeconfig = join(runDirectory(lab.id), "kubeconfig");
  writeFileSync(kubeconfig, api.kubeconfig(), { mode: 0o644 });
  return { api, kubeconfig };
}
