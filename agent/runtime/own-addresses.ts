/** The addresses of this machine's interfaces, without their zones. */
import { networkInterfaces } from "node:os";

export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).map(({ address }) => address.split("%")[0] as string),
  );
}
