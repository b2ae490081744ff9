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

bool prefix_rules__set(struct pinned_maps *maps, const void *payload)
{
	struct command_prefix_rule rule;
	struct prefix_rule_value value;
	struct prefix_rule_key key;

	memcpy(&rule, payload, sizeof(rule));
	if (rule.flags & PREFIX_RULE_FIRST) {
		maps->settings->prefix_rules = 0;
		map__clear(maps->prefix_rules, &key, "prefix_rules");
	}
	key.prefix_length = rule.prefix_length;
	memcpy(key.addr, rule.addr, sizeof(key.addr));
	value = (struct prefix_rule_value){ .prefix_length = rule.prefix_length, .flags = rule.flags };
	if (bpf_map_update_elem(maps->prefix_rules, &key, &value, BPF_ANY)) {
		log_error("cannot set a prefix rule: %s; %s", strerror(errno),
			  errno == EPERM ? "the map prefix_rules is frozen: end the probe, run --unpin and start again"
					 : "at most 4096 fit");
		return false;
	}
	maps->settings->prefix_rules = 1;
	return true;
}
