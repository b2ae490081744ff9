/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The words of refusal.c as a line of the log. */
#include "load/refusal.h"
#include "shared/log.h"

bool refusal__report(void)
{
	struct refusal_facts facts;
	struct refusal refusal;

	refusal__look(&facts);
	if (!refusal__is_certain(&facts))
		return false;
	refusal__explain(&refusal, &facts);
	log_error("%s: %s", refusal.why, refusal.remedy);
	return true;
}
