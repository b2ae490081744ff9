/**
 * The part of the table that is about the directory: some fields are for agents, some for `flowspan directory`, and files
 * mean on each side what it shows or demands (docs/directory.md).
 */
import { absolutePath, boolean, listenAddress, optional, secretPath, text, words } from "./fields.ts";

const inner = { summary: "", default: "", live: false } as const;

export const DIRECTORY_SETTINGS = {
  addresses: words({
    summary: "The directory's replicas, as HOST:PORT; a name stands for all addresses behind it. For agents.",
    default: ["flowspan-directory.flowspan.svc:9483"],
    live: false,
    flag: "directory",
  }),
  listen: listenAddress({
    summary: "Where `flowspan directory` answers agents.",
    default: ":9483",
    live: false,
    flag: "listen",
  }),
  caFile: optional(
    {
      summary:
        "What the other end's certificate must be signed by. For `flowspan directory`: agents must show a certificate.",
      default: undefined,
      defaultText: "agents: what the system trusts; directory: no certificate is asked for",
      live: false,
    },
    absolutePath(inner),
  ),
  agentNames: words({
    summary:
      "For `flowspan directory` with `ca_file`: only certificates with one of these names are let in; a DNS name, or a URI as spiffe://….",
    default: [],
    defaultText: "every certificate that `ca_file` signed",
    live: false,
  }),
  certFile: optional(
    {
      summary: "Own certificate with its chain; read again when it is replaced. `flowspan directory` needs one.",
      default: undefined,
      defaultText: "none",
      live: false,
    },
    absolutePath(inner),
  ),
  keyFile: optional(
    { summary: "Key of the own certificate.", default: undefined, defaultText: "none", live: false },
    secretPath(inner),
  ),
  tokenFile: optional(
    {
      summary:
        "An agent's bearer token; for `flowspan directory`, all that are let in, one a line. Read again when it is replaced.",
      default: undefined,
      defaultText: "no token",
      live: false,
    },
    secretPath(inner),
  ),
  tokenAudience: optional(
    {
      summary:
        "For `flowspan directory`: let in agents by tokens of their service account that the cluster made for this audience. The API server is asked (TokenReview).",
      default: undefined,
      defaultText: "tokens of `token_file` alone",
      live: false,
    },
    text(inner),
  ),
  serviceAccounts: words({
    summary:
      "With `token_audience`: whose tokens are let in, NAMESPACE/NAME. Any pod may ask for a token for any audience.",
    default: ["flowspan/flowspan"],
    live: false,
  }),
  insecure: boolean({
    summary: "No TLS between agents and directory: only where a mesh brings its own.",
    default: false,
    live: false,
  }),
};
