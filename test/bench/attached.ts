/**
 * What a probe has attached, and how long the kernel has run it, as bpftool says it: of all links that are pinned below the
 * probe's own directory.
 */
import { run } from "../lab/programs/run.ts";

interface Link {
  readonly type: string;
  readonly prog_id: number;
  readonly tp_name?: string;
  readonly pinned?: readonly string[];
}

interface Program {
  readonly id: number;
  readonly run_time_ns?: number;
}

/** Names of the tracepoints, and the types of other links. */
export async function attachedHooks(pins: string): Promise<string[]> {
  const links = await linksBelow(pins);
  return [...new Set(links.map(({ type, tp_name }) => tp_name ?? type))].sort();
}

/** Run time of all programs on tracepoints, in nanoseconds; grows while the kernel measures programs. */
export async function hookTimeNs(pins: string): Promise<number> {
  const hooks = new Set((await linksBelow(pins)).filter(({ tp_name }) => tp_name).map(({ prog_id }) => prog_id));
  const programs = JSON.parse(await run(["bpftool", "--json", "prog", "list"])) as Program[];
  return programs.filter(({ id }) => hooks.has(id)).reduce((sum, { run_time_ns = 0 }) => sum + run_time_ns, 0);
}

async function linksBelow(pins: string): Promise<Link[]> {
  const links = JSON.parse(await run(["bpftool", "--json", "--bpffs", "link", "list"])) as Link[];
  return links.filter(({ pinned = [] }) => pinned.some((path) => path.startsWith(`${pins}/`)));
}
