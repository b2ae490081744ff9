/**
 * A replica of the directory in a process of its own, with the launcher's settings of V8 and of malloc and the replica's own limits:
 * its memory is what agents make it take. Prints its port.
 */
import { DirectoryServer } from "../../agent/directory/server/directory-server.ts";
import { FEEDS_OF } from "../../agent/kubernetes/reads.ts";

const nowMs = () => performance.now() + 1_000_000;
const server = new DirectoryServer(FEEDS_OF.directory, {
  listen: "127.0.0.1:0",
  insecure: true,
  replica: "replica-1",
  appLabels: false,
  log: { info() {}, warn() {} },
  nowMs,
  ageMs: () => 23,
});
for (const feed of FEEDS_OF.directory) server.store.apply({ feed, type: "synced", atMs: nowMs() });
const port = await server.listen();
process.on("message", () => process.send?.(server.stats()));
process.send?.({ port });
