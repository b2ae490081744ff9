/**
 * Makes whatever speaks TLS in this process trust what the machine trusts, where no CA is named: Node and gRPC
 * bring roots of their own and look into no store.
 *
 * The store is found as Go and OpenSSL find it: SSL_CERT_FILE and SSL_CERT_DIR, else the first file and the
 * directories of the known distributions. NODE_EXTRA_CA_CERTS comes on top. Where a machine has no store, as a slim
 * image, Node's roots stay. Read again when it changes.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { certificatesIn, isCertificate } from "./pem.ts";

const FILES = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora, RHEL 6
  "/etc/ssl/ca-bundle.pem", // openSUSE
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and newer
  "/etc/ssl/cert.pem", // Alpine
];
const DIRECTORIES = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

export interface Store {
  /** Where it was read from, for people. */
  readonly description: string;
  /** PEM, each once. */
  readonly certificates: readonly string[];
}

/** The store that `env` names, else this machine's; without certificates where there is none. */
export function readStore(env: NodeJS.ProcessEnv, files = FILES, directories = DIRECTORIES): Store {
  const places = placesOf(env, files, directories);
  const found = places.flatMap((place) =>
    place.paths().map((path) => ({ place: place.name, pems: certificatesOf(path) })),
  );
  const certificates = [...new Set(found.flatMap(({ pems }) => pems))].filter(isCertificate);
  const names = [...new Set(found.filter(({ pems }) => pems.length > 0).map(({ place }) => place))];
  const description =
    names.length > 0 ? names.join(" and ") : `nothing in ${places.map(({ name }) => name).join(", ")}`;
  return { description, certificates };
}

interface Place {
  readonly name: string;
  paths(): string[];
}

function placesOf({ SSL_CERT_FILE, SSL_CERT_DIR }: NodeJS.ProcessEnv, files: string[], directories: string[]): Place[] {
  const file = SSL_CERT_FILE || files.find((path) => modifiedMs(path) !== undefined);
  const named = SSL_CERT_FILE ? `${SSL_CERT_FILE} (SSL_CERT_FILE)` : (file ?? "");
  const within = (SSL_CERT_DIR ? SSL_CERT_DIR.split(":") : directories).filter((path) => path !== "");
  return [
    ...(file === undefined ? [] : [{ name: named, paths: () => [file] }]),
    ...within.map((directory) => ({
      name: SSL_CERT_DIR ? `${directory} (SSL_CERT_DIR)` : directory,
      paths: () => namesIn(directory).map((name) => join(directory, name)),
    })),
  ];
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // not every distribution has every directory
  }
}

function certificatesOf(path: string): string[] {
  try {
    return statSync(path).size > STORE_MAX_BYTES ? [] : certificatesIn(readFileSync(path));
  } catch {
    return []; // a dangling link, a directory, a file for root alone: others have the certificates
  }
}

const STORE_MAX_BYTES = 16 * 1024 * 1024;

function modifiedMs(path: string): number | undefined {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return undefined; // not there, which is the answer
  }
}

let last: { readonly stamp: string; readonly store: Store } | undefined;

/**
 * Makes the store the default of every TLS connection that is made from now on.
 *
 * @returns what is trusted, for people
 */
export function trustSystem(env: NodeJS.ProcessEnv = process.env): string {
  const { SSL_CERT_FILE = "", SSL_CERT_DIR = "" } = env;
  const watched = [SSL_CERT_FILE, ...SSL_CERT_DIR.split(":"), ...FILES, ...DIRECTORIES];
  const stamp = JSON.stringify([SSL_CERT_FILE, SSL_CERT_DIR, watched.map(modifiedMs)]);
  if (last?.stamp !== stamp) {
    const store = readStore(env);
    last = { stamp, store };
    const { certificates } = store;
    if (certificates.length > 0) setDefaultCACertificates([...certificates, ...getCACertificates("extra")]);
  }
  const { certificates, description } = last.store;
  return certificates.length > 0 ? description : `Node's own certificates (${description})`;
}
