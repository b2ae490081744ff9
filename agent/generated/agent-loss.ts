/** Every way in which the agent can lose a fact. Generated from semconv/model/losses.yaml: edit that. */
export type AgentLoss =
  | "frame_unusable"
  | "points_rejected"
  | "series_over_budget_detail"
  | "address_over_limit_detail"
  | "span_queue_full"
  | "span_rejected"
  | "span_gave_up"
  | "span_unnamed"
  | "span_shutdown"
  | "metadata_unreadable_detail";
