/**
 * Connects that end inside the system call, before a SYN: an outcome of their own, not the application's, and no
 * attempt in the kernel's count. Beside them, those that look alike and are not.
 */
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { NEEDS, spanOfRecord, times, useCallLab } from "../agents/call-lab.ts";

const COUNT = 23;
/** Ten local ports, so that a few connections take them all. */
const PORTS = Array.from({ length: 10 }, (_, i) => 40_000 + i);
const REFUSED_PORTS = [41_000, 41_009];

const test = needs(...NEEDS);
const calls = useCallLab();

/** What was counted as sent, beside the kernel's own count. */
function attempts(port: number) {
  const { opened, failedNoLocalPort, failedNotSent, failedCancelled, failedRefused, failedOther } = calls().counters(
    port,
    "client",
  );
  return { opened, failedNoLocalPort, failedNotSent, failedCancelled, failedRefused, failedOther };
}

const NONE = {
  opened: 0,
  failedNoLocalPort: 0,
  failedNotSent: 0,
  failedCancelled: 0,
  failedRefused: 0,
  failedOther: 0,
};

for (const [what, port, option] of [
  ["unbound sockets", 7201, []],
  ["sockets whose address is bound and whose port is not (IP_BIND_ADDRESS_NO_PORT)", 7202, ["port-at-connect"]],
] as const) {
  test(`where all local ports are taken, each connect of ${what} is no_local_port and no attempt of the kernel's`, async () => {
    await calls().sysctl(`net.ipv4.ip_local_port_range=${PORTS[0]} ${PORTS.at(-1)}`);
    const more = times(COUNT, (i) => [
      ...option.flatMap((name) => [`${name} ${100 + i} 1`, `bind ${100 + i} 0`]),
      `connect ${100 + i} ${port}`,
      `close ${100 + i}`,
    ]);

    const told = await calls().play(
      `listen 0 ${port}`,
      PORTS.map((_, i) => `connect ${1 + i} ${port}`),
      more,
    );
    const records = (await calls().records(port, PORTS.length * 2 + COUNT)).filter(
      ({ establishedNs }) => establishedNs === 0n,
    );

    expect(told.failures).toEqual({ "connect EADDRNOTAVAIL": COUNT });
    expect(told.tcp).toMatchObject({ ActiveOpens: PORTS.length, PassiveOpens: PORTS.length, AttemptFails: 0 });
    expect(attempts(port)).toEqual({ ...NONE, opened: PORTS.length, failedNoLocalPort: COUNT });
    expect(records.map(({ segsOut, localPort, error }) => ({ segsOut, localPort, error }))).toEqual(
      Array(COUNT).fill({ segsOut: 0, localPort: 0, error: 99 }),
    );
    expect(new Set(records.map((record) => spanOfRecord(record).attributes["error.type"]))).toEqual(
      new Set(["no_local_port"]),
    );
    expect(calls().tally.losses).toEqual({});
  });
}

test("a bound port that is taken towards the same peer is no_local_port, with that port", async () => {
  const port = 7203;
  const second = times(COUNT, (i) => [`bind ${100 + i} 45001`, `connect ${100 + i} ${port}`, `close ${100 + i}`]);

  const told = await calls().play(`listen 0 ${port}`, "bind 1 45001", `connect 1 ${port}`, second);
  const records = await calls().records(port, 2 + COUNT);

  expect(told.failures).toEqual({ "connect EADDRNOTAVAIL": COUNT });
  expect(told.tcp).toMatchObject({ ActiveOpens: 1, PassiveOpens: 1 });
  expect(attempts(port)).toEqual({ ...NONE, opened: 1, failedNoLocalPort: COUNT });
  const failed = records.filter(({ establishedNs }) => establishedNs === 0n);
  expect(failed.map(({ localPort }) => localPort)).toEqual(Array(COUNT).fill(45_001));
});

test("a used socket that finds no port does not show the port that it had before", async () => {
  const port = 7204;
  await calls().sysctl(`net.ipv4.ip_local_port_range=${PORTS[0]} ${PORTS.at(-1)}`);
  const told = await calls().play(
    [`listen 0 ${port}`, `connect 200 ${port}`, "unspec 200"],
    PORTS.map((_, i) => `connect ${1 + i} ${port}`),
    `connect 200 ${port}`,
  );
  const records = await calls().records(port, 2 * (PORTS.length + 1) + 1);

  expect(told.failures).toEqual({ "connect EADDRNOTAVAIL": 1 });
  const failed = records.filter(({ establishedNs }) => establishedNs === 0n);
  expect(failed.map(({ localPort, error }) => [localPort, error])).toEqual([[0, 99]]);
  expect(attempts(port)).toEqual({ ...NONE, opened: PORTS.length + 1, failedNoLocalPort: 1 });
});

test("a port that routing refuses is not_sent: the kernel found one, and told the application alone why", async () => {
  const port = 7205;
  await calls().sysctl(`net.ipv4.ip_local_port_range=${REFUSED_PORTS.join(" ")}`);
  const rule = ["ipproto", "tcp", "sport", REFUSED_PORTS.join("-"), "prohibit"];
  await calls().pod.exec(["ip", "rule", "add", "pref", "0", ...rule]);
  await calls().pod.exec(["ip", "rule", "del", "pref", "0", "lookup", "local"]);
  await calls().pod.exec(["ip", "rule", "add", "pref", "1", "lookup", "local"]);

  const told = await calls().play(
    `listen 0 ${port}`,
    times(COUNT, (i) => [`connect ${1 + i} ${port}`]),
  );
  await calls().pod.exec(["ip", "rule", "del", "pref", "0"]);
  const outcomes = await calls().outcomes(port, COUNT);

  expect(Object.values(told.failures)).toEqual([COUNT]);
  expect(told.failures["connect EADDRNOTAVAIL"]).toBeUndefined();
  expect(told.tcp).toMatchObject({ ActiveOpens: 0, PassiveOpens: 0 });
  expect(attempts(port)).toEqual({ ...NONE, failedNotSent: COUNT });
  expect(outcomes).toEqual(Array(COUNT).fill("client not_sent"));
});

test("where the kernel refuses a socket that has listened, its connect is not_sent, not a lack of ports", async () => {
  const port = 7208;
  const told = await calls().play(
    `listen 0 ${port}`,
    times(COUNT, (i) => [`listen ${1 + i} ${7300 + i}`, `unspec ${1 + i}`, `connect ${1 + i} ${port}`]),
  );
  const refused = told.failures["connect EINVAL"] ?? 0;
  const records = await calls().records(port, COUNT + (COUNT - refused));

  expect([0, COUNT]).toContain(refused);
  expect(told.failures).toEqual(refused ? { "connect EINVAL": COUNT } : {});
  expect(told.tcp).toMatchObject({ ActiveOpens: COUNT - refused });
  expect(attempts(port)).toEqual({ ...NONE, opened: COUNT - refused, failedNotSent: refused });
  const errors = records
    .filter(({ establishedNs }) => establishedNs === 0n)
    .map((record) => spanOfRecord(record).attributes["error.type"]);
  expect(errors).toEqual(Array(refused).fill("not_sent"));
  expect(calls().tally.losses).toEqual({});
});

test("a connect whose SYN waits for data (Fast Open) and is closed without any is no attempt", async () => {
  const port = 7206;
  await calls().sysctl("net.ipv4.tcp_fastopen=3", "net.ipv4.ip_local_port_range=42000 60000");
  const told = await calls().play(
    // The first brings the cookie.
    [
      `listen 0 ${port}`,
      "fastopen 0 16",
      `fast 1 ${port}`,
      "accept 2 0",
      "recv 2 211",
      "close 2",
      "recv 1 0",
      "close 1",
    ],
    times(COUNT, (i) => [`fastopen-connect ${10 + i} 1`, `connect ${10 + i} ${port}`, `close ${10 + i}`]),
  );
  const records = await calls().records(port, 2);

  expect(told.failures).toEqual({});
  expect(told.tcp).toMatchObject({ ActiveOpens: 1, PassiveOpens: 1 });
  expect(attempts(port)).toEqual({ ...NONE, opened: 1 });
  expect(records.length).toBe(2);
});

test("a refused connect is refused, also on a socket that had a connection with data on its way", async () => {
  const port = 7207;
  const told = await calls().play(
    [`listen 0 ${port}`, "rcvbuf 0 4096", `connect 1 ${port}`, "accept 2 0", "send 1 50021", "unspec 1"],
    [`close 0`, `connect 1 ${port}`],
  );
  await calls().records(port, 3);

  expect(told.failures).toEqual({ "connect ECONNREFUSED": 1 });
  expect(attempts(port)).toEqual({ ...NONE, opened: 1, failedRefused: 1 });
});
