/** What an agent does with a directory, without the agent: it asks for addresses and keeps whose each is. */
import { onTestFinished } from "vitest";
import { DirectoryClient } from "../../agent/directory/client/directory-client.ts";
import type { ClusterChange, Pod } from "../../agent/model/cluster-objects.ts";

/** An agent's client, and who it thinks has which address. */
export class AskingAgent {
  readonly names = new Map<string, string>();
  /** Names that went away without another taking their place. */
  lost = 0;
  readonly client: DirectoryClient;
  readonly #pods = new Map<string, Pod>();

  constructor(addresses: readonly string[]) {
    this.client = new DirectoryClient({
      addresses,
      insecure: true,
      nodeName: "node-1",
      appLabels: false,
      log: { info() {}, warn() {} },
      onChange: (change) => this.#apply(change),
      nowMs: () => performance.now(),
      firstWordMs: 30_000,
    });
    onTestFinished(() => this.client.stop());
  }

  ask(address: string): boolean {
    return this.client.answered(address, 8080, performance.now());
  }

  #apply(change: ClusterChange): void {
    if (change.feed !== "pods" || change.type === "synced") return;
    const uid = change.type === "remove" ? change.uid : change.object.uid;
    if (uid.startsWith("former") || uid.startsWith("forgotten")) return;
    for (const address of this.#pods.get(uid)?.addresses ?? []) this.names.delete(address);
    if (change.type === "remove") {
      this.#pods.delete(uid);
      this.lost++;
      return;
    }
    this.#pods.set(uid, change.object as Pod);
    for (const address of (change.object as Pod).addresses) this.names.set(address, (change.object as Pod).name);
  }
}
