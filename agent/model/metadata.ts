/** How fresh and how whole a source of names is: a watch of the Kubernetes API, or the directory. */

/** One source of names: a watch's state fits. */
export interface MetadataVitals {
  readonly name: string;
  /** It has been read in whole since the start. */
  readonly synced: boolean;
  /** Since it was last confirmed, or since the start. */
  readonly ageMs: number;
  /** Since it last heard or tried anything. */
  readonly idleMs: number;
  readonly trouble: string | undefined;
}

/** One source of names, as far as metrics need it; the state of a watch fits. */
export interface MetadataReading extends MetadataVitals {
  readonly objects: number;
  readonly lists: number;
  /** Connections that ended without a failure. */
  readonly ends: number;
  readonly failures: Readonly<Record<string, number>>;
}
