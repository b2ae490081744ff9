/** What a store tells of itself: what may have changed, and how much it holds. */
import type { Feed } from "../../model/cluster-objects.ts";

export interface StoreListeners {
  /** The owner of this address, or what is reported of the owner, has changed. */
  address(address: string): void;
  /** A Service may go by another name than before. */
  names(): void;
  /** Another Service, or none, may be behind a port. */
  ports(): void;
  /** The uid of the cluster or what is known of a node has changed. */
  cluster(): void;
}

export interface StoreStats {
  readonly pods: number;
  readonly services: number;
  readonly nodes: number;
  /** Addresses that have an owner now. */
  readonly addresses: number;
  /** New, changed and removed objects that were reported, by feed. */
  readonly changes: Readonly<Partial<Record<Feed, number>>>;
}
