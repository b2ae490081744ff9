/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the fuzz targets share. A target takes any bytes, gives them to one parser of the probe and asserts what must hold
 * whatever they are; the sanitizers watch the rest. Lines that the probe would log come here in place of stderr.
 */
#ifndef FUZZING_H
#define FUZZING_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* How many lines were logged since said__clear(), and the last one's message. */
unsigned said__lines(void);
const char *said__last(void);
void said__clear(void);

/* The bytes up to the first NUL, in memory of just that size: a byte too far is seen. The caller frees it. */
char *text__copy(const uint8_t *bytes, size_t size);

#endif
