/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A guest refuses to give a DIMM back, and the user is told why.
 *
 *   cc refused_dimm.c $(pkg-config --cflags --libs papr-unplug)
 */

#include <inttypes.h>
#include <papr_unplug.h>
#include <stdio.h>
#include <stdlib.h>

/* Does what there is to do. */
static void act(PaprUnplug *machine)
{
    PaprUnplugEffect effect;
    char text[512];

    while (papr_unplug_next_effect(machine, &effect)) {
        papr_unplug_explain(&effect, text, sizeof(text));
        printf("%s\n", text);
    }
}

int main(void)
{
    /* A machine with a DIMM of two LMBs, which takes reports about memory on indicator 9100. */
    const PaprUnplugOffer offer = { 9100, PAPR_UNPLUG_CLASS_MEMORY, PAPR_UNPLUG_FEATURE_TOKEN };
    const uint32_t dimm = 0x80000008;
    PaprUnplug *machine = papr_unplug_new(&offer, 0);
    PaprUnplugRequest request;
    uint8_t section[24];
    int32_t status;

    if (papr_unplug_add(machine, PAPR_UNPLUG_RESOURCE_MEMORY, dimm, 2) < 0 ||
        papr_unplug_attach(machine, dimm, 2, true) < 0) {
        fprintf(stderr, "%s\n", papr_unplug_error(machine));
        papr_unplug_free(machine);
        return EXIT_FAILURE;
    }

    /* The guest's module arms: from now on it answers every request about memory. */
    status = papr_unplug_set_indicator(machine, 9100, 0, 0x20010004);
    printf("the guest arms: %" PRId32 "\n", status);

    /* device_del: the guest is to be asked, with a token. */
    if (papr_unplug_request(machine, dimm, &request) < 0) {
        fprintf(stderr, "%s\n", papr_unplug_error(machine));
        papr_unplug_free(machine);
        return EXIT_FAILURE;
    }
    printf("request %" PRIu64 " goes to the guest, in %zu bytes with token %u\n", request.id,
           papr_unplug_section(machine, request.id, section, sizeof(section)), request.token);

    /* The guest refuses: a page of the second LMB cannot be moved, errno 16 (EBUSY). */
    status = papr_unplug_set_indicator(machine, 9100, dimm + 1, 0x86100000 | request.token);
    printf("the guest answers: %" PRId32 "\n", status);
    act(machine);

    papr_unplug_free(machine);
    return EXIT_SUCCESS;
}
