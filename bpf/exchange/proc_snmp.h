/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* /proc/PID/net/snmp and netstat: the kernel's own counters of a net namespace. Pure. */
#ifndef EXCHANGE_PROC_SNMP_H
#define EXCHANGE_PROC_SNMP_H

#include <stdbool.h>

#include "contract/frames.h"

/*
 * Reads `text`, the content of both files one after the other, into the counters of `frame`. It cuts `text` up.
 * False when one of the counters is not there.
 */
bool proc_snmp__parse(struct frame_namespace *frame, char *text);

#endif
