/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Fills the trie that decides which remote addresses share an edge. Between the first and the last of a
 * set some addresses may keep an edge of their own that later share one: totals are not touched.
 */
#include "serve/prefix_rules.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "shared/log.h"

bool scopes__set(struct kept *kept, const void *payload)
{
	struct command_prefix_rule scope;
	struct scope_value value;
	struct scope_key key;

	memcpy(&scope, payload, sizeof(scope));
	if (scope.flags & PREFIX_RULE_FIRST) {
		kept->settings->scopes = 0;
		map__clear(kept->scopes, &key, "scopes");
	}
	key.prefix_length = scope.prefix_length;
	memcpy(key.addr, scope.addr, sizeof(key.addr));
	value = (struct scope_value){ .prefix_length = scope.prefix_length, .flags = scope.flags };
	if (bpf_map_update_elem(kept->scopes, &key, &value, BPF_ANY)) {
		log_error("cannot set a scope: %s; at most 4096 fit", strerror(errno));
		return false;
	}
	kept->settings->scopes = 1;
	return true;
}
