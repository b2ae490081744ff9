/**
 * A kubeconfig → the cluster and the user of its current context, refused where kubectl refuses them. Pure.
 *
 * The rules are those of client-go's tools/clientcmd (validation.go, client_config.go) and rest/transport.
 */

import { proxyUrl } from "./api-proxy.ts";
import { ApiFailure } from "./failure.ts";
import type { ClusterEntry, ExecEntry, Kubeconfig, UserEntry } from "./kubeconfig.ts";

export interface Choice {
  readonly cluster: ClusterEntry;
  /** Undefined: the context names none, so we are anonymous. */
  readonly user: UserEntry | undefined;
  readonly server: URL;
  /** For messages: `cluster "c" in PATH`, `user "u" in PATH`. */
  readonly clusterName: string;
  readonly userName: string;
}

const EXEC_VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
const INTERACTIVE_MODES = ["Never", "IfAvailable", "Always"];

/** @param file what the kubeconfig is called in messages */
export function chooseCurrent(config: Kubeconfig, file: string): Choice {
  const { currentContext, clusters, users, contexts } = config;
  const known = [...contexts.keys()].map((name) => `"${name}"`).join(", ") || "none";
  if (currentContext === "") {
    throw refuse(`${file} has no current-context`, `kubectl config use-context NAME, one of: ${known}`);
  }
  const context = contexts.get(currentContext);
  if (context === undefined) {
    const remedy = `kubectl config use-context NAME, one of: ${known}`;
    throw refuse(`${file}: its current-context "${currentContext}" is not among its contexts`, remedy);
  }
  const clusterName = `cluster "${context.cluster}" in ${file}`;
  const userName = `user "${context.user}" in ${file}`;
  const cluster = clusters.get(context.cluster);
  if (cluster === undefined) {
    const remedy = "kubectl config set-cluster NAME --server=https://HOST:PORT";
    throw refuse(`context "${currentContext}" names ${clusterName}, which is not there`, remedy);
  }
  const user = context.user === "" ? undefined : users.get(context.user);
  if (context.user !== "" && user === undefined) {
    const remedy = "kubectl config set-credentials NAME";
    throw refuse(`context "${currentContext}" names ${userName}, which is not there`, remedy);
  }
  if (user !== undefined) checkUser(user, userName);
  return { cluster, user, server: checkCluster(cluster, clusterName), clusterName, userName };
}

function checkCluster(cluster: ClusterEntry, name: string): URL {
  const { caFile, caData, insecure, proxyUrl: proxy, server } = cluster;
  if (server === "") throw refuse(`${name} has no server`, "set its server to https://HOST:PORT");
  if (caFile !== "" && caData.length > 0) {
    throw refuse(`${name} has certificate-authority and certificate-authority-data`, "remove one of them");
  }
  if (proxy !== "" && (proxyUrl(proxy) === undefined || proxy.startsWith("socks5h"))) {
    throw refuse(`${name} has a proxy-url that is none`, "write http://, https:// or socks5:// before HOST:PORT");
  }
  const url = serverUrl(server);
  if (url === undefined) throw refuse(`${name} has a server that is no URL`, "write https://HOST:PORT");
  if (url.protocol === "https:" && insecure && (caFile !== "" || caData.length > 0)) {
    throw refuse(
      `${name} has a CA and insecure-skip-tls-verify`,
      "remove insecure-skip-tls-verify, or the certificate-authority",
    );
  }
  return url;
}

/** Without a scheme it is plain HTTP, as for kubectl. */
function serverUrl(server: string): URL | undefined {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(server) ? server : `http://${server}`;
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  url.search = "";
  url.hash = "";
  return ["http:", "https:"].includes(url.protocol) ? url : undefined;
}

function checkUser(user: UserEntry, name: string): void {
  const { token, tokenFile, username, password, certFile, certData, keyFile, keyData, exec, authProvider } = user;
  const hasToken = token !== "" || tokenFile !== "";
  if (token !== "" && (username !== "" || password !== "")) {
    throw refuse(`${name} has a token and a username or password`, "remove one of them");
  }
  if (hasToken && username !== "") throw refuse(`${name} has a tokenFile and a username`, "remove one of them");
  const hasCertificate = certFile !== "" || certData.length > 0;
  if (certFile !== "" && certData.length > 0) {
    throw refuse(`${name} has client-certificate and client-certificate-data`, "remove one of them");
  }
  if (hasCertificate && keyFile !== "" && keyData.length > 0) {
    throw refuse(`${name} has client-key and client-key-data`, "remove one of them");
  }
  if (hasCertificate && keyFile === "" && keyData.length === 0) {
    throw refuse(`${name} has a client certificate without its key`, "set client-key or client-key-data");
  }
  if (exec !== undefined && authProvider !== undefined) {
    throw refuse(`${name} has exec and auth-provider`, "remove the auth-provider");
  }
  if (exec !== undefined) checkExec(exec, name);
  if (user.as === "" && (user.asUid !== "" || user.asGroups.length > 0 || Object.keys(user.asUserExtra).length > 0)) {
    throw refuse(`${name} has as-uid, as-groups or as-user-extra without as`, "set as to the user to impersonate");
  }
}

function checkExec({ command, apiVersion, interactiveMode, env }: ExecEntry, name: string): void {
  if (command === "") throw refuse(`${name}: its exec has no command`, "set exec.command");
  if (!EXEC_VERSIONS.includes(apiVersion)) {
    throw refuse(`${name}: its exec.apiVersion is none that is known`, `set it to ${EXEC_VERSIONS[0]}`);
  }
  if (env.some((each) => each.name === "")) throw refuse(`${name}: its exec.env has an entry without name`, "name it");
  const isOptional = apiVersion.endsWith("/v1beta1") && interactiveMode === "";
  if (!isOptional && !INTERACTIVE_MODES.includes(interactiveMode)) {
    throw refuse(`${name}: its exec has no interactiveMode that is known`, "set exec.interactiveMode to Never");
  }
}

function refuse(message: string, remedy: string): ApiFailure {
  return new ApiFailure("credentials", message, { remedy });
}
