/** The ClusterRoles that deploy/ ships for what is read, and the mode whose reads each of them grants. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Mode, PolicyRule } from "../../../agent/kubernetes/reads.ts";

/** By file below deploy/. A shipped role that is missing here fails a test. */
const MODE_OF: Readonly<Record<string, Mode>> = {
  "manifests/cluster-role.yaml": "watch",
  "manifests/directory/agent-cluster-role.patch.yaml": "agent-with-directory",
  "manifests/directory/cluster-role.yaml": "directory",
};

/** Grants no reading, but to ask whose a token is: test/e2e/token-review.test.ts. */
const REVIEWS_TOKENS = "manifests/directory-identity/cluster-role.yaml";

export interface ShippedRole {
  readonly file: string;
  readonly mode: Mode | undefined;
  readonly rules: readonly PolicyRule[];
}

const DEPLOY = join(import.meta.dirname, "../../../deploy");

export function shippedRoles(): ShippedRole[] {
  const files = readdirSync(DEPLOY, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".yaml"));
  return files
    .filter((file) => file !== REVIEWS_TOKENS)
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(DEPLOY, file), "utf8"))
        .map((document) => document.toJS() as { kind: string; rules: readonly PolicyRule[] } | null)
        .flatMap((object) =>
          object?.kind === "ClusterRole" ? [{ file, mode: MODE_OF[file], rules: object.rules }] : [],
        ),
    );
}
