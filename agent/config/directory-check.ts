/**
 * Settings of the directory that are right alone and wrong together, for agents and for the directory itself.
 */
import { foundText, type Problem } from "./problem.ts";
import { OURS } from "./setting-rows.ts";
import type { Settings } from "./settings.ts";

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}$/;

/** @param source the file, where there is one */
export function directoryProblems({ directory, kubernetes }: Settings, source: string): Problem[] {
  const { addresses, agentNames, caFile, certFile, keyFile, insecure } = directory;
  const problem = (name: string, found: string, allowed: string, remedy: string): Problem => {
    return { source, path: `${OURS}.directory.${name}`, found, allowed, remedy };
  };
  const problems: Problem[] = [];
  for (const [i, address] of addresses.entries()) {
    if (ADDRESS.test(address)) continue;
    const remedy = "add the port that it listens on: flowspan-directory.flowspan.svc:9483";
    problems.push(problem(`addresses[${i}]`, foundText(address), "HOST:PORT", remedy));
  }
  if (kubernetes.metadata === "directory" && addresses.length === 0) {
    const remedy = "name at least one, or set kubernetes.metadata to watch";
    problems.push(problem("addresses", "an empty list", "HOST:PORT of the replicas", remedy));
  }
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const [there, missing] = certFile === undefined ? ["key_file", "cert_file"] : ["cert_file", "key_file"];
    problems.push(problem(there, `${there} without ${missing}`, "both or none", `set ${missing} too`));
  }
  if (agentNames.length > 0 && caFile === undefined) {
    const remedy = "set ca_file: only then agents show a certificate";
    problems.push(problem("agent_names", foundText(agentNames.join(", ")), "names together with ca_file", remedy));
  }
  if (insecure && [caFile, certFile].some((file) => file !== undefined)) {
    const allowed = "no ca_file, cert_file or key_file while insecure is true";
    problems.push(problem("insecure", "true, and certificates besides", allowed, "remove the one that is not meant"));
  }
  return problems;
}
