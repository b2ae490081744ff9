/**
 * Readings that agent and directory have in common: what the process costs, and how fresh its sources of names
 * are.
 */
import { totalmem } from "node:os";
import type { Attributes, ObservableResult } from "@opentelemetry/api";
import {
  ATTR_CPU_MODE,
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_METADATA_FEED,
  CPU_MODE_VALUE_SYSTEM,
  CPU_MODE_VALUE_USER,
  METRIC_FLOWSPAN_ADMIN_REFUSALS,
  METRIC_FLOWSPAN_MEMORY_LIMIT,
  METRIC_FLOWSPAN_METADATA_AGE,
  METRIC_FLOWSPAN_METADATA_LISTS,
  METRIC_FLOWSPAN_METADATA_OBJECTS,
  METRIC_FLOWSPAN_METADATA_RECONNECTS,
  METRIC_PROCESS_CPU_TIME,
  METRIC_PROCESS_MEMORY_USAGE,
} from "../generated/semconv.ts";
import type { MetadataReading } from "../model/metadata.ts";
import type { Reading } from "./provider.ts";

export interface NamesState {
  metadata(): readonly MetadataReading[];
}

export interface AdminState {
  /** Connections to `admin.address` that were closed without an answer, by reason. */
  adminRefusals(): Readonly<Record<string, number>>;
}

type Read = Reading<NamesState>[1];

function ofMetadata(value: (reading: MetadataReading) => number): Read {
  return (state, result) => {
    for (const reading of state.metadata()) {
      result.observe(value(reading), { [ATTR_FLOWSPAN_METADATA_FEED]: reading.name });
    }
  };
}

function observeReconnects(state: NamesState, result: ObservableResult): void {
  for (const { name, ends, failures } of state.metadata()) {
    for (const [reason, count] of [["", ends] as const, ...Object.entries(failures)]) {
      result.observe(count, { [ATTR_FLOWSPAN_METADATA_FEED]: name, ...errorType(reason) });
    }
  }
}

export function errorType(reason: string): Attributes {
  return reason === "" ? {} : { [ATTR_ERROR_TYPE]: reason };
}

/**
 * @param constrained bytes as Node has them: 0 where it does not know, a huge number without a limit
 * @param machine bytes of the machine's memory
 * @returns undefined where the cgroup has no limit of its own
 */
export function memoryLimit(constrained: number, machine: number): number | undefined {
  return constrained > 0 && constrained < machine ? constrained : undefined;
}

export const PROCESS_READINGS: readonly Reading<unknown>[] = [
  [
    METRIC_PROCESS_CPU_TIME,
    (_, result) => {
      const { user, system } = process.cpuUsage();
      result.observe(user / 1e6, { [ATTR_CPU_MODE]: CPU_MODE_VALUE_USER });
      result.observe(system / 1e6, { [ATTR_CPU_MODE]: CPU_MODE_VALUE_SYSTEM });
    },
  ],
  [METRIC_PROCESS_MEMORY_USAGE, (_, result) => result.observe(process.memoryUsage.rss())],
  [
    METRIC_FLOWSPAN_MEMORY_LIMIT,
    (_, result) => {
      const limit = memoryLimit(process.constrainedMemory(), totalmem());
      if (limit !== undefined) result.observe(limit);
    },
  ],
];

export const METADATA_READINGS: readonly Reading<NamesState>[] = [
  [METRIC_FLOWSPAN_METADATA_AGE, ofMetadata(({ ageMs }) => ageMs / 1000)],
  [METRIC_FLOWSPAN_METADATA_OBJECTS, ofMetadata(({ objects }) => objects)],
  [METRIC_FLOWSPAN_METADATA_LISTS, ofMetadata(({ lists }) => lists)],
  [METRIC_FLOWSPAN_METADATA_RECONNECTS, observeReconnects],
];

export const ADMIN_READINGS: readonly Reading<AdminState>[] = [
  [
    METRIC_FLOWSPAN_ADMIN_REFUSALS,
    (state, result) => {
      for (const [reason, count] of Object.entries(state.adminRefusals())) result.observe(count, errorType(reason));
    },
  ],
];
