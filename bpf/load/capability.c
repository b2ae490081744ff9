// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "load/capability.h"

#include <sys/syscall.h>
#include <unistd.h>

static int capabilities__read(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(SYS_capget, &header, data);
}

bool capability__held(int capability)
{
	struct __user_cap_data_struct data[2];

	if (capabilities__read(data))
		return false;
	return data[capability / 32].effective >> (capability % 32) & 1;
}
