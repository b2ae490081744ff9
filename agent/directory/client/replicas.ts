/**
 * From `HOST:PORT` to the replicas behind it, and to one replica's stream: for agents and for doctor.
 *
 * Certificates and token are read anew for every connection. The certificate must be for the name that was
 * configured, not for the address that it stands for.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type ChannelCredentials, Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import { trustSystem } from "../../tls/system-roots.ts";
import { ANSWERS_MAX_BYTES, FOLLOW } from "../protocol.ts";
import { readCertificates, readTokens, type SecretFiles } from "../secrets.ts";

export interface ClientOptions extends SecretFiles {
  readonly insecure: boolean;
}

export interface Replica {
  /** As configured: a name, or an address. */
  readonly host: string;
  /** `ADDRESS:PORT` */
  readonly address: string;
}

export type FollowCall = ClientDuplexStream<Buffer, Buffer>;

/** @throws Error when the name stands for nothing */
export async function findReplicas(text: string): Promise<Replica[]> {
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = text.slice(colon + 1);
  const addresses = isIP(host) ? [host] : await addressesOf(host);
  return [...new Set(addresses)].map((address) => ({
    host,
    address: address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`,
  }));
}

async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new Error(`${host}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Opens a stream; what becomes of it is the call's to tell.
 *
 * @throws Error that names the file which cannot be used
 */
export function connectTo(replica: Replica, options: ClientOptions): { client: Client; call: FollowCall } {
  const client = new Client(replica.address, credentialsOf(options), channelOptions(replica));
  const { path, requestSerialize, responseDeserialize } = FOLLOW;
  try {
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadataOf(options));
    return { client, call };
  } catch (error) {
    client.close();
    throw error;
  }
}

function credentialsOf({ insecure, ...files }: ClientOptions): ChannelCredentials {
  if (insecure) return credentials.createInsecure();
  const { ca, pair } = readCertificates(files);
  if (ca === undefined) trustSystem();
  return credentials.createSsl(ca ?? null, pair?.private_key ?? null, pair?.cert_chain ?? null);
}

function metadataOf({ tokenFile }: ClientOptions): Metadata {
  const metadata = new Metadata();
  if (tokenFile !== undefined) metadata.set("authorization", `Bearer ${readTokens(tokenFile)[0]}`);
  return metadata;
}

function channelOptions({ host }: Replica) {
  return {
    // A channel of its own, so that the certificates of this moment count.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.max_receive_message_length": ANSWERS_MAX_BYTES,
    ...(isIP(host) ? {} : { "grpc.ssl_target_name_override": host, "grpc.default_authority": host }),
  };
}
