/** A plain kubeconfig that works, and the ways in which a row of kubeconfig-rows.ts changes it. */
import { idToken } from "../unit/kubernetes/recording-proxies.ts";
import type { Kubeconfig, World } from "./kubeconfig-world.ts";

export type Part = Readonly<Record<string, unknown>>;

export interface Row {
  readonly what: string;
  readonly make: (world: World) => Kubeconfig;
}

/** A plain kubeconfig with other parts: a null user means that the context names none. */
export function kubeconfig(world: World, cluster: Part = {}, user: Part | null = {}, more: Part = {}): object {
  const secure = { server: `https://127.0.0.1:${world.secure.port}`, "certificate-authority": "ca.pem" };
  return {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [{ name: "c", cluster: without({ ...secure, ...cluster }) }],
    users: user === null ? [] : [{ name: "u", user: without({ token: "token-23", ...user }) }],
    contexts: [{ name: "x", context: { cluster: "c", ...(user !== null && { user: "u" }) } }],
    ...more,
  };
}

/** A part that is set to undefined is not there. */
export function without(part: Part): Part {
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}

export const NO_TOKEN = { token: undefined };
export const NO_CA = { "certificate-authority": undefined };

export function change(
  what: string,
  cluster: Part | ((world: World) => Part),
  user: Part | ((world: World) => Part) = {},
): Row {
  const of = (part: Part | ((world: World) => Part), world: World) => (typeof part === "function" ? part(world) : part);
  return { what, make: (world) => ({ files: [kubeconfig(world, of(cluster, world), of(user, world))] }) };
}

export const V1 = "client.authentication.k8s.io/v1";
export const V1BETA1 = "client.authentication.k8s.io/v1beta1";

export function plugin(what: string, exec: Part, cluster: Part | ((world: World) => Part) = {}): Row {
  const plain = { apiVersion: V1, interactiveMode: "Never", command: "./plain" };
  return change(`exec: ${what}`, cluster, { ...NO_TOKEN, exec: without({ ...plain, ...exec }) });
}

export function text(what: string, rewrite: (text: string) => string): Row {
  return { what, make: (world) => ({ files: [rewrite(JSON.stringify(kubeconfig(world), undefined, 2))] }) };
}

export function whole(what: string, more: Part): Row {
  return { what, make: (world) => ({ files: [kubeconfig(world, {}, {}, more)] }) };
}

export function environment(
  what: string,
  cluster: Part | ((world: World) => Part),
  env: (world: World) => Record<string, string>,
): Row {
  return {
    what,
    make: (world) => ({
      files: [kubeconfig(world, typeof cluster === "function" ? cluster(world) : cluster)],
      env: env(world),
    }),
  };
}

/** Reached only through something that leads there; its certificate is for `localhost`. */
export const AWAY = ({ secure }: World) => ({
  server: `https://api.test:${secure.port}`,
  "tls-server-name": "localhost",
});
export const PLAIN_AWAY = ({ plain }: World) => ({ server: `http://api.test:${plain.port}`, ...NO_CA });

export const oidc = (seconds: number, more: Part = {}) => ({
  name: "oidc",
  config: {
    ...{ "client-id": "flowspan", "client-secret": "s", "idp-issuer-url": "https://127.0.0.1:1" },
    ...{ "id-token": idToken(seconds), ...more },
  },
});
