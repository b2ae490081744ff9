/**
 * A flow's exemplars as OTLP bytes, each list with the tag of the point that it goes into.
 *
 * Rare and never the same twice, so nothing is cached. Values are in the unit that
 * the metric is exported in: seconds for histograms, segments for retransmits.
 */
import type { Exemplar, Flow } from "../model/flow.ts";
import { encodeAttributes, NUMBER_ATTRIBUTE_TAG } from "./attribute-bytes.ts";
import { encodeMessage, WireWriter } from "./wire.ts";

export interface FlowExemplars {
  readonly handshake: Uint8Array;
  readonly rtt: Uint8Array;
  /** One list for all types of retransmit: emptied by the first type's point that has counted. */
  retransmits: Uint8Array;
}

/** Field `exemplars` of ExponentialHistogramDataPoint and of NumberDataPoint. */
const HISTOGRAM_TAG = 0x5a;
const NUMBER_TAG = 0x2a;

const TIME = new DataView(new ArrayBuffer(8));

export function encodeExemplars(exemplars: NonNullable<Flow["exemplars"]>): FlowExemplars {
  return {
    handshake: encodeList(exemplars.handshake, HISTOGRAM_TAG),
    rtt: encodeList(exemplars.rtt, HISTOGRAM_TAG),
    retransmits: encodeList(exemplars.retransmits, NUMBER_TAG),
  };
}

function encodeList(exemplars: readonly Exemplar[] = [], tag: number): Uint8Array {
  const w = new WireWriter(256);
  for (const exemplar of exemplars) {
    const attributes = encodeAttributes(exemplar.filteredAttributes, NUMBER_ATTRIBUTE_TAG);
    w.reserve(attributes.length + 64);
    w.byte(tag);
    const start = w.open();
    TIME.setBigUint64(0, exemplar.timeUnixNs, true);
    w.byte(0x11);
    w.fixed64(TIME.getUint32(0, true), TIME.getUint32(4, true));
    if (tag === NUMBER_TAG) {
      w.byte(0x31);
      w.integer64(exemplar.value);
    } else {
      w.byte(0x19);
      w.double(exemplar.value);
    }
    w.raw(encodeMessage(0x22, Buffer.from(exemplar.spanId, "hex")));
    w.raw(encodeMessage(0x2a, Buffer.from(exemplar.traceId, "hex")));
    w.raw(attributes);
    w.close(start);
  }
  return w.take();
}
