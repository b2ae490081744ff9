/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Where pins lie: the path that was asked for, whole, with the protocol's number behind it; or a word why not. */
#include "load/pins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/contract.h"
#include "fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *wanted = text__copy(bytes, size), suffix[16];
	struct pins *pins = calloc(1, sizeof(*pins));

	assert(pins);
	said__clear();
	snprintf(suffix, sizeof(suffix), "/v%d", FLOWSPAN_PROTOCOL);
	if (pins__place(pins, wanted, NULL) == 0) {
		assert(strcmp(pins->base, wanted) == 0 && wanted[0] == '/' && said__lines() == 0);
		assert(strncmp(pins->path, wanted, strlen(wanted)) == 0);
		assert(strcmp(pins->path + strlen(wanted), suffix) == 0);
	} else {
		assert(said__lines() == 1);
	}
	free(pins);
	free(wanted);
	return 0;
}
