/** OTel's Kubernetes rule, line by line. */
import { describe, expect, test } from "vitest";
import {
  annotatedAttributes,
  imageVersion,
  ownerAttributes,
  type PodMetadata,
  serviceOf,
  versionOf,
} from "../../../agent/kubernetes/service-rule.ts";

const CREATED_MS = Date.parse("2026-03-01T10:00:23Z");
const MINUTES = Math.floor(CREATED_MS / 60_000);

function metadata(more: Partial<PodMetadata> = {}): PodMetadata {
  return {
    name: "cart-7d9f-a",
    namespace: "shop",
    labels: {},
    annotations: {},
    controller: undefined,
    createdMs: CREATED_MS,
    ...more,
  };
}

const DEPLOYED = metadata({
  labels: { "pod-template-hash": "7d9f" },
  controller: { kind: "ReplicaSet", name: "cart-7d9f" },
});
const LABELLED = metadata({
  ...DEPLOYED,
  labels: { ...DEPLOYED.labels, "app.kubernetes.io/instance": "basket", "app.kubernetes.io/name": "cartd" },
});

describe("owners", () => {
  test.each([
    { name: "none", pod: metadata(), owners: {} },
    {
      name: "Deployment",
      pod: DEPLOYED,
      owners: { "k8s.deployment.name": "cart", "k8s.replicaset.name": "cart-7d9f" },
    },
    {
      name: "ReplicaSet without a Deployment",
      pod: metadata({ controller: { kind: "ReplicaSet", name: "cart-7d9f" } }),
      owners: { "k8s.replicaset.name": "cart-7d9f" },
    },
    {
      name: "ReplicaSet of another kind of rollout",
      pod: metadata({ ...DEPLOYED, labels: { "pod-template-hash": "5c5c" } }),
      owners: { "k8s.replicaset.name": "cart-7d9f" },
    },
    {
      name: "StatefulSet",
      pod: metadata({ controller: { kind: "StatefulSet", name: "db" } }),
      owners: { "k8s.statefulset.name": "db" },
    },
    {
      name: "DaemonSet",
      pod: metadata({ controller: { kind: "DaemonSet", name: "proxy" } }),
      owners: { "k8s.daemonset.name": "proxy" },
    },
    {
      name: "Job",
      pod: metadata({ controller: { kind: "Job", name: "migrate" } }),
      owners: { "k8s.job.name": "migrate" },
    },
    {
      name: "CronJob",
      pod: metadata({ controller: { kind: "Job", name: `report-${MINUTES}` } }),
      owners: { "k8s.cronjob.name": "report", "k8s.job.name": `report-${MINUTES}` },
    },
    {
      name: "CronJob whose run came a day late",
      pod: metadata({ controller: { kind: "Job", name: `report-${MINUTES - 1440}` } }),
      owners: { "k8s.cronjob.name": "report", "k8s.job.name": `report-${MINUTES - 1440}` },
    },
    {
      name: "Job with a number of its own",
      pod: metadata({ controller: { kind: "Job", name: "migrate-20260301" } }),
      owners: { "k8s.job.name": "migrate-20260301" },
    },
    { name: "an unknown kind", pod: metadata({ controller: { kind: "Rollout", name: "x" } }), owners: {} },
  ])("$name", ({ pod, owners }) => {
    expect(Object.entries(ownerAttributes(pod))).toEqual(Object.entries(owners));
  });
});

describe("service name and namespace", () => {
  const annotations = {
    "resource.opentelemetry.io/service.name": "annotated",
    "resource.opentelemetry.io/service.namespace": "elsewhere",
  };

  test.each([
    {
      name: "the annotation first",
      pod: metadata({ ...LABELLED, annotations }),
      labels: true,
      service: "annotated",
      in: "elsewhere",
    },
    { name: "then the label instance, where labels count", pod: LABELLED, labels: true, service: "basket", in: "shop" },
    {
      name: "then the label name, where labels count",
      pod: metadata({ ...DEPLOYED, labels: { ...DEPLOYED.labels, "app.kubernetes.io/name": "cartd" } }),
      labels: true,
      service: "cartd",
      in: "shop",
    },
    { name: "labels do not count by themselves", pod: LABELLED, labels: false, service: "cart", in: "shop" },
    { name: "then the owner at the top", pod: DEPLOYED, labels: true, service: "cart", in: "shop" },
    {
      name: "the CronJob before its Job",
      pod: metadata({ controller: { kind: "Job", name: `report-${MINUTES}` } }),
      labels: false,
      service: "report",
      in: "shop",
    },
    { name: "then the pod", pod: metadata(), labels: false, service: "cart-7d9f-a", in: "shop" },
  ])("$name", ({ pod, labels, service, in: namespace }) => {
    expect(serviceOf(pod, labels)).toEqual({ name: service, namespace });
  });
});

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

test.each([
  ["registry.example:5000/shop/cart:1.2.3", "1.2.3"],
  [`registry.example:5000/shop/cart:1.2.3@${DIGEST}`, `1.2.3@${DIGEST}`],
  [`registry.example:5000/shop/cart@${DIGEST}`, DIGEST],
  ["registry.example:5000/shop/cart", undefined],
  ["cart:latest", "latest"],
  ["cart", undefined],
  ["", undefined],
])("the version of image %s is %s", (image, version) => {
  expect(imageVersion(image)).toBe(version);
});

test("the label version comes before the image, where labels count", () => {
  const pod = metadata({ labels: { "app.kubernetes.io/version": "2024.1" } });

  expect([versionOf(pod, "cart:1", true), versionOf(pod, "cart:1", false)]).toEqual(["2024.1", "1"]);
});

test("annotations become attributes without their prefix, and are bounded", () => {
  const many = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`resource.opentelemetry.io/key-${i}`, "x".repeat(2_000)]),
  );

  expect(
    annotatedAttributes({
      "resource.opentelemetry.io/team": "blue",
      "resource.opentelemetry.io/": "x",
      "other/team": "red",
    }),
  ).toEqual({ team: "blue" });
  const found = annotatedAttributes(many);
  expect([Object.keys(found).length, found["key-0"]?.length]).toEqual([64, 1024]);
});
