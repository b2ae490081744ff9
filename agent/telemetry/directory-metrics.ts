/**
 * The directory's own metrics: what it costs, how fresh its names are, and what it does for agents.
 */

import {
  ATTR_FLOWSPAN_METADATA_FEED,
  METRIC_FLOWSPAN_DIRECTORY_ADDRESSES,
  METRIC_FLOWSPAN_DIRECTORY_AGENTS,
  METRIC_FLOWSPAN_DIRECTORY_ANSWERS,
  METRIC_FLOWSPAN_DIRECTORY_CHANGES,
  METRIC_FLOWSPAN_DIRECTORY_REFUSALS,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Logger } from "../shared/logger.ts";
import {
  ADMIN_READINGS,
  type AdminState,
  errorType,
  METADATA_READINGS,
  type NamesState,
  PROCESS_READINGS,
} from "./common-readings.ts";
import { measure, type Reading, type SelfMetrics, type SendOptions, sendingReader } from "./provider.ts";

/** What a replica has done since its start; DirectoryStats fits. */
export interface DirectoryReading {
  readonly streams: number;
  readonly keys: number;
  readonly answers: number;
  /** By feed. */
  readonly changes: Readonly<Record<string, number>>;
  /** By reason. */
  readonly refusals: Readonly<Record<string, number>>;
}

export interface DirectoryState extends NamesState, AdminState {
  stats(): DirectoryReading;
}

export const DIRECTORY_READINGS: readonly Reading<DirectoryState>[] = [
  ...PROCESS_READINGS,
  ...METADATA_READINGS,
  ...ADMIN_READINGS,
  [METRIC_FLOWSPAN_DIRECTORY_AGENTS, (state, result) => result.observe(state.stats().streams)],
  [METRIC_FLOWSPAN_DIRECTORY_ADDRESSES, (state, result) => result.observe(state.stats().keys)],
  [METRIC_FLOWSPAN_DIRECTORY_ANSWERS, (state, result) => result.observe(state.stats().answers)],
  [
    METRIC_FLOWSPAN_DIRECTORY_CHANGES,
    (state, result) => {
      for (const [feed, count] of Object.entries(state.stats().changes)) {
        result.observe(count, { [ATTR_FLOWSPAN_METADATA_FEED]: feed });
      }
    },
  ],
  [
    METRIC_FLOWSPAN_DIRECTORY_REFUSALS,
    (state, result) => {
      for (const [reason, count] of Object.entries(state.stats().refusals)) result.observe(count, errorType(reason));
    },
  ],
];

/** Begins to send them every `intervalMs`. */
export function startDirectoryMetrics(
  state: DirectoryState,
  attributes: Attributes,
  options: SendOptions,
  log: Logger,
): SelfMetrics {
  return measure(state, DIRECTORY_READINGS, attributes, sendingReader(options, log));
}
