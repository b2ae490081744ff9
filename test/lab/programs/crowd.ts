/** A connection from each of many cgroups, as of a node that runs many containers: one process goes through them. */
import { join } from "node:path";
import { enterArguments, type Place } from "./process.ts";
import { run } from "./run.ts";

/**
 * @param place whose namespace they connect from
 * @param directory an existing cgroup below which they are made, as units of systemd of one name; they go with the lab
 */
export async function connectFromEach(
  place: Required<Pick<Place, "netns">>,
  directory: string,
  count: number,
  to: { readonly address: string; readonly port: number },
): Promise<void> {
  const unit = join(directory, "crowd-$i.slice", "job.service");
  const script = [
    `for i in $(seq ${count}); do`,
    `mkdir -p ${unit} && echo $$ >${unit}/cgroup.procs`,
    `exec 3<>/dev/tcp/${to.address}/${to.port} && exec 3>&-`,
    "done",
  ].join("\n");
  await run(enterArguments(place, ["bash", "-ec", script]));
}
