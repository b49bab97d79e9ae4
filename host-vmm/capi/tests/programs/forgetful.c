/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Leaks a machine, so that whoever looks for leaks can show that they look. */

#include <papr_unplug.h>

int main(void)
{
    return papr_unplug_add(papr_unplug_new(NULL, 0), PAPR_UNPLUG_RESOURCE_CPU, 0x10000000, 1);
}
