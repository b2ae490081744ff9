/** The features of a HELLO, and what they say of where the probe keeps what it knows of sockets. */
import { expect, test } from "vitest";
import { Feature } from "../../../agent/generated/layout.ts";
import { hasFeature, socketStorageOf } from "../../../agent/model/feature.ts";

const WALKS_STORAGES = 1n << BigInt(Feature.FEATURE_WALK_STORAGES);
const ALL = (1n << 64n) - 1n;

test("each feature is a bit of its own", () => {
  expect(hasFeature(WALKS_STORAGES, "FEATURE_WALK_STORAGES")).toBe(true);
  expect(hasFeature(ALL & ~WALKS_STORAGES, "FEATURE_WALK_STORAGES")).toBe(false);
});

test("sockets are known by address where the probe cannot walk storages, and not before it has said so", () => {
  expect(socketStorageOf(ALL & ~WALKS_STORAGES)).toBe("by address");
  expect(socketStorageOf(WALKS_STORAGES)).toBe("in the socket");
  expect(socketStorageOf(undefined)).toBe("in the socket");
});
