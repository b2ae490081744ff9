/**
 * Names as the Collector's Prometheus exporters make them. The expected column was read from a real
 * Collector v0.155 (prometheus and prometheus_remote_write exporters, default settings).
 */
import { expect, test } from "vitest";
import { prometheusLabel, prometheusName } from "../../../semconv/prometheus.ts";

test.each([
  ["flowspan.tcp.io", "By", "counter", "flowspan_tcp_io_bytes_total"],
  ["flowspan.tcp.segments", "{segment}", "counter", "flowspan_tcp_segments_total"],
  ["flowspan.tcp.retransmits.spurious", "{segment}", "counter", "flowspan_tcp_retransmits_spurious_total"],
  ["flowspan.tcp.out_of_order", "{segment}", "counter", "flowspan_tcp_out_of_order_total"],
  ["flowspan.tcp.connections.open", "{connection}", "updowncounter", "flowspan_tcp_connections_open"],
  ["flowspan.tcp.rtt", "s", "histogram", "flowspan_tcp_rtt_seconds"],
  ["flowspan.tcp.handshake.duration", "s", "histogram", "flowspan_tcp_handshake_duration_seconds"],
  ["flowspan.tcp.send.time", "s", "counter", "flowspan_tcp_send_time_seconds_total"],
  ["flowspan.tcp.accept_queue.depth", "{connection}", "updowncounter", "flowspan_tcp_accept_queue_depth"],
  ["flowspan.coverage.segments", "1", "gauge", "flowspan_coverage_segments_ratio"],
  ["flowspan.walk.sockets", "{socket}", "gauge", "flowspan_walk_sockets"],
  ["flowspan.bpf.program.run.time", "s", "counter", "flowspan_bpf_program_run_time_seconds_total"],
  ["flowspan.probe.memory.usage", "By", "updowncounter", "flowspan_probe_memory_usage_bytes"],
  ["process.cpu.time", "s", "counter", "process_cpu_time_seconds_total"],
] as const)("%s in %s as a %s is %s", (name, unit, instrument, expected) => {
  expect(prometheusName({ name, unit, instrument })).toBe(expected);
});

test.each([
  ["a unit that the name has already", "paint.seconds", "s", "histogram", "paint_seconds"],
  ["a total inside the name", "paint.total.used", "{coat}", "counter", "paint_used_total"],
  ["a ratio inside the name", "paint.ratio.dry", "1", "gauge", "paint_dry_ratio"],
  ["a counter of unit 1", "paint.used", "1", "counter", "paint_used_total"],
  ["a unit per second", "paint.flow", "By/s", "gauge", "paint_flow_bytes_per_second"],
  ["an annotation per second", "paint.flow", "{drop}/s", "gauge", "paint_flow_per_second"],
  ["underscores in a row", "paint..used__up", "{coat}", "updowncounter", "paint_used_up"],
] as const)("%s is written once, at the end", (_, name, unit, instrument, expected) => {
  expect(prometheusName({ name, unit, instrument })).toBe(expected);
});

test("an attribute's dots become underscores", () => {
  expect(prometheusLabel("service.peer.name")).toBe("service_peer_name");
});
