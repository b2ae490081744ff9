/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The contract: what the kernel programs keep, what the probe sends, what the agent decodes.
 *
 * Three readers share the headers below: the kernel programs, the probe and the agent, whose agent/generated/layout.ts is
 * made from their BTF (scripts/generate-layout.ts). Change a struct there and nowhere else, then run
 * `npm run generate`. All integers are little-endian; every struct is a
 * multiple of 8 bytes long with no hidden padding. Times are CLOCK_BOOTTIME nanoseconds unless a field
 * says otherwise. Addresses are 16 bytes in network order, IPv4 as v4-mapped IPv6 (RFC 4291 2.5.5.2).
 */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H

#include "contract/edge.h"
#include "contract/evidence.h"
#include "contract/losses.h"
#include "contract/frames.h"
#include "contract/connection_record.h"
#include "contract/command.h"
#include "contract/identities.h"

/* Raised when a struct or a frame changes its meaning; also names the directory of the pins. */
#define FLOWSPAN_PROTOCOL 5

/* Where the kernel refuses to walk storages, so many sockets may be known, open or just closed: the default of --sockets. */
#define SOCKETS_ROOM 262144

#endif
