/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Example: a guest refuses to give a DIMM back, and the user learns why.
 *
 *   cc refused_dimm.c $(pkg-config --cflags --libs papr-unplug)
 */

#include <inttypes.h>
#include <papr_unplug.h>
#include <stdio.h>
#include <stdlib.h>

/* Takes the effects. A VMM with virtual CPUs does this in its main loop, not in the context of a CPU. */
static void act(PaprUnplug *machine)
{
    PaprUnplugEffect effect;
    char text[512];

    while (papr_unplug_next_effect(machine, &effect, sizeof(effect))) {
        papr_unplug_explain(&effect, sizeof(effect), text, sizeof(text));
        printf("%s\n", text);
    }
}

int main(void)
{
    /* A machine with a DIMM of two LMBs, which takes reports about memory on indicator 9100. */
    const PaprUnplugConfig config = {
        .indicator = 9100,
        .classes = PAPR_UNPLUG_CLASS_MEMORY,
        .features = PAPR_UNPLUG_FEATURE_TOKEN,
    };
    const uint32_t dimm = 0x80000008;
    PaprUnplug *machine = papr_unplug_new(&config, sizeof(config));
    PaprUnplugRequested made;
    int32_t status;

    if (papr_unplug_add(machine, PAPR_UNPLUG_RESOURCE_MEMORY, dimm, 2) < 0 ||
        papr_unplug_attach(machine, dimm, 2, true) < 0) {
        fprintf(stderr, "%s\n", papr_unplug_error(machine));
        papr_unplug_free(machine);
        return EXIT_FAILURE;
    }

    /* The guest's module arms: from now on it answers every request about memory. */
    status = papr_unplug_set_indicator(machine, 9100, 0, 0x20010004, NULL, 0);
    printf("the guest arms: %" PRId32 "\n", status);

    /* device_del: the VMM sends the guest a hot plug section, with a token. */
    if (papr_unplug_request(machine, dimm, &made, sizeof(made)) < 0) {
        fprintf(stderr, "%s\n", papr_unplug_error(machine));
        papr_unplug_free(machine);
        return EXIT_FAILURE;
    }
    printf("request %" PRIu64 " goes to the guest, in %" PRIu32 " bytes with token %" PRIu32 "\n", made.request.id,
           made.section_size, made.request.token);

    /* The guest refuses: a page of the second LMB cannot be moved, errno 16 (EBUSY). */
    status = papr_unplug_set_indicator(machine, 9100, dimm + 1, 0x86100000 | made.request.token, NULL, 0);
    printf("the guest answers: %" PRId32 "\n", status);
    act(machine);

    papr_unplug_free(machine);
    return EXIT_SUCCESS;
}
