/** What became of one request. Only `accepted` settles rows. */
export type ExportOutcome =
  | {
      readonly state: "accepted";
      /** Of a partial success: points, or spans in a request of spans. */
      readonly rejectedPoints: number;
      readonly message: string;
    }
  | {
      readonly state: "failed";
      /** One of a bounded set: a gRPC status name, an HTTP status, a code of Node's, `UNUSABLE_FILE` (a certificate's) or `not_sent`. */
      readonly reason: string;
      /** For people: the words of the server or the network. */
      readonly message?: string;
      /** Why, more finely than `reason`, and what to do, where both are known (agent/otlp/trouble.ts). */
      readonly cause?: string;
      readonly remedy?: string;
      readonly retryable: boolean;
      readonly retryAfterMs: number | undefined;
    };

export type FailedExport = Extract<ExportOutcome, { state: "failed" }>;
