// SPDX-License-Identifier: GPL-2.0-only
/* Parameters of the module: the definition of each, for both builds. */

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "adapter.h"

static struct mutex_parameters parameters = {
	.max_connections = 65536,
	.max_fds = 65536,
	.max_alerts = 1000,
	.timeout_tcp = 7440,
	.timeout_tcp_opening = 120,
	.timeout_tcp_closing = 240,
	.timeout_one_way = 30,
	.timeout_two_way = 180,
	.timeout_icmp = 30,
	.timeout_closed = 5,
	.timeout_fd = 60,
};

#define PARAMETER(name, description)					\
	module_param_named(name, parameters.name, uint, 0444);		\
	MODULE_PARM_DESC(name, description)

PARAMETER(max_connections, "Connections that are kept at once (16 to 16777216, default 65536)");
PARAMETER(max_fds, "Socket fds that are kept at once (16 to 16777216, default 65536)");
PARAMETER(max_alerts, "Alerts that are kept (1 to 1048576, default 1000)");
PARAMETER(timeout_tcp,
	  "Seconds until an established TCP connection counts as ended (default 7440, RFC 5382)");
PARAMETER(timeout_tcp_opening,
	  "The same before its handshake is complete, or if only one end was ever heard (default 120)");
PARAMETER(timeout_tcp_closing, "The same after the first FIN (default 240)");
PARAMETER(timeout_one_way,
	  "Seconds until UDP and others count as ended without an answer (default 30)");
PARAMETER(timeout_two_way, "The same with an answer (default 180)");
PARAMETER(timeout_icmp, "The same for ICMP and ICMPv6 (default 30)");
PARAMETER(timeout_closed, "Seconds that an ended connection stays visible (default 5)");
PARAMETER(timeout_fd, "Seconds that a socket fd without connections stays visible (default 60)");

const struct mutex_parameters *mutex_parameters(void)
{
	return &parameters;
}
