// SPDX-License-Identifier: MIT OR Apache-2.0

/*
 * Prints what librtas finds in an RTAS event, as the programs of a distribution read it. The event comes from standard
 * input, behind the kernel's own number of four bytes, as /proc/powerpc/rtas/error_log has it.
 */

#include <librtasevent.h>
#include <stdio.h>

int main(void)
{
	static char record[4 + 2048];
	size_t size = fread(record, 1, sizeof(record), stdin);
	struct rtas_event *event;
	struct rtas_hotplug_scn *hotplug;

	if (size <= 4)
		return 1;
	event = parse_rtas_event(record + 4, size - 4);
	if (!event)
		return 1;
	hotplug = rtas_get_hotplug_scn(event);
	if (!hotplug)
		return 1;
	printf("type=%d action=%d identifier=%d drc=%#x\n", hotplug->type, hotplug->action, hotplug->identifier,
	       hotplug->u1.drc_index);
	cleanup_rtas_event(event);
	return 0;
}
