/** What all makers of faults share. */
import type { Endpoint } from "../lab/programs/workload.ts";
import type { Lab } from "../lab/world/lab.ts";

export interface Removable {
  remove(): Promise<unknown>;
}

/** Makes a fault between two pods, in force when the promise resolves. */
export type Inject = (lab: Lab, client: string, server: string) => Promise<Removable>;

/** Where every pod serves. */
export const SERVED = 8080;

export function addressOf(lab: Lab, pod: string, port: number): Endpoint {
  return { address: lab.pod(pod).ips.v4, port };
}
