/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Leaks machines, to show that the leak checkers of the tests find them. */

#include <papr_unplug.h>

int main(void)
{
    int failed = 0;

    /* More than one: a pointer to the last may stay in a register or on the stack, and then it is no leak. */
    for (int i = 0; i < 8; i++) {
        failed |= papr_unplug_add(papr_unplug_new(NULL, 0), PAPR_UNPLUG_RESOURCE_CPU, 0x10000000, 1);
    }
    return failed;
}
