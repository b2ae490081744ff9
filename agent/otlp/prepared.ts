/**
 * A flow with everything that is needed more than once while its points are written.
 *
 * The encoder keeps as many of these as the largest request had flows and uses them again: what it made anew
 * for each flow would grow old while a request is written, and wait for a full garbage collection.
 */
import { EDGE_COUNTERS } from "../generated/layout.ts";
import type { BucketList, Flow, FlowNumbers } from "../model/flow.ts";
import { NUMBER_ATTRIBUTE_TAG, writeAttributes } from "./attribute-bytes.ts";
import { encodeExemplars, type FlowExemplars } from "./exemplar-bytes.ts";
import { type CountSpan, measureSpan } from "./exponential.ts";
import type { NumberPoint } from "./plan.ts";
import type { WireWriter } from "./wire.ts";

const TIMES = new DataView(new ArrayBuffer(16));

/** One histogram's buckets, and where they begin and end. */
export class PreparedHistogram implements BucketList, CountSpan {
  readonly pairs: number[] = [];
  length = 0;
  first = -1;
  last = -1;
  count = 0;
  packedBytes = 0;
}

export class PreparedFlow implements FlowNumbers {
  flow: Flow;
  attributes: Uint8Array = new Uint8Array(0);
  startLow = 0;
  startHigh = 0;
  timeLow = 0;
  timeHigh = 0;
  readonly counters = new Float64Array(EDGE_COUNTERS.length);
  readonly handshake = new PreparedHistogram();
  readonly rtt = new PreparedHistogram();
  readonly duration = new PreparedHistogram();
  exemplars: FlowExemplars | undefined;
  /** Upper bound of the bytes of all its points. */
  bound = 0;

  constructor(flow: Flow) {
    this.flow = flow;
  }

  /** @param attributes where the flow's KeyValues are written to, and lie until the request is whole */
  take(flow: Flow, attributes: WireWriter): void {
    TIMES.setBigUint64(0, flow.startUnixNs, true);
    TIMES.setBigUint64(8, flow.timeUnixNs, true);
    this.flow = flow;
    const from = attributes.at;
    writeAttributes(attributes, flow.attributes, NUMBER_ATTRIBUTE_TAG);
    this.attributes = attributes.written(from);
    this.startLow = TIMES.getUint32(0, true);
    this.startHigh = TIMES.getUint32(4, true);
    this.timeLow = TIMES.getUint32(8, true);
    this.timeHigh = TIMES.getUint32(12, true);
    flow.copyNumbers(this);
    for (const histogram of [this.handshake, this.rtt, this.duration]) measureSpan(histogram, histogram);
    this.exemplars = flow.exemplars === undefined ? undefined : encodeExemplars(flow.exemplars);
  }

  /** In the unit of the books: a counter's divisor is not applied yet. */
  number(point: NumberPoint): number {
    return point.counter < 0 ? this.flow[point.gauge] : (this.counters[point.counter] as number);
  }
}
