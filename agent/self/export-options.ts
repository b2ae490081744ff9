/**
 * What own metrics are sent with, the same for agent and directory: the Resource of this process and the exporter's
 * options, from settings.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { transportOptions } from "../config/options.ts";
import type { Settings } from "../config/settings.ts";
import { VERSION } from "../version.ts";
import { selfAttributes } from "./provider.ts";

/** @param name service.name, unless the configuration says otherwise */
export function selfExport(name: string, settings: Settings) {
  const attributes = selfAttributes({
    name,
    version: VERSION,
    instanceId: randomUUID(),
    hostName: hostname(),
    nodeName: settings.kubernetes.node,
    configured: settings.resource.attributes,
  });
  const { temporality } = settings.otlp;
  return {
    attributes,
    options: { ...transportOptions(settings, VERSION), intervalMs: settings.interval, temporality },
  };
}
