/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Lines → columns by name. Names and their order differ between kernels; so a column is known by its name alone. */
#include "exchange/proc_stat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void proc_stat__parse(char *text, take_column take, void *context)
{
	char *line_state, *names = strtok_r(text, "\n", &line_state), *line;

	while (names && (line = strtok_r(NULL, "\n", &line_state))) {
		char heading[1024], *name_state, *value_state, *name, *value;

		snprintf(heading, sizeof(heading), "%s", names);
		name = strtok_r(heading, " ", &name_state);
		value = strtok_r(line, " ", &value_state);
		while (name && value) {
			take(context, name, strtoull(value, NULL, 16));
			name = strtok_r(NULL, " ", &name_state);
			value = strtok_r(NULL, " ", &value_state);
		}
	}
}
