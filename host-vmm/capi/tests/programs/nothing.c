/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Gives every function nothing: no machine, and with a machine nothing to read or write. Silent, unless that is taken badly. */

#include <papr_unplug.h>
#include <stdio.h>

static int failures;

static void expect(int is_as_expected, const char *what)
{
    if (!is_as_expected) {
        printf("%s\n", what);
        failures++;
    }
}

#define EXPECT(condition) expect((condition), #condition)

static void give_no_machine(void)
{
    uint32_t numbers[2] = { 1, 1 };

    EXPECT(papr_unplug_add(NULL, 2, 8, 1) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_remove(NULL, 8, 1) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_attach(NULL, 8, 1, true) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_detach(NULL, 8) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_request(NULL, 8, NULL) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_set_offer(NULL, NULL) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_import(NULL, 8, 4, true) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_restore(NULL, NULL, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_set_indicator(NULL, 9001, 8, 0) == -1);
    EXPECT(papr_unplug_get_sensor_state(NULL, 9003, 8, &numbers[0]) == -1 && numbers[0] == 0);
    EXPECT(papr_unplug_configure(NULL, 8, true) == -1);
    EXPECT(papr_unplug_configured(NULL, 8) == -1);
    EXPECT(papr_unplug_state(NULL, 8) == 0);
    EXPECT(!papr_unplug_pending(NULL, 8));
    EXPECT(!papr_unplug_has_more(NULL));
    EXPECT(!papr_unplug_next_effect(NULL, NULL));
    EXPECT(papr_unplug_open_requests(NULL, NULL, 0) == 0);
    EXPECT(papr_unplug_section(NULL, 1, NULL, 0) == 0);
    EXPECT(papr_unplug_save(NULL, NULL, 0) == 0);
    EXPECT(papr_unplug_explain(NULL, NULL, 0) == 0);
    EXPECT(papr_unplug_error(NULL) != NULL);
    papr_unplug_armed(NULL, &numbers[0], &numbers[1]);
    EXPECT(numbers[0] == 0 && numbers[1] == 0);
    papr_unplug_reset(NULL);
    papr_unplug_free(NULL);
}

static void give_a_machine_nothing(void)
{
    const PaprUnplugEffect effect = { PAPR_UNPLUG_EFFECT_KIND_DELETE, PAPR_UNPLUG_RESOURCE_CPU, 8, 1, 0, 0, 0, 0, 0, 0 };
    PaprUnplug *machine = papr_unplug_new(NULL, 0);
    size_t size;
    char byte = 'x';

    EXPECT(papr_unplug_add(machine, PAPR_UNPLUG_RESOURCE_CPU, 8, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_add(machine, PAPR_UNPLUG_RESOURCE_CPU, 8, 1) == 0);
    EXPECT(papr_unplug_attach(machine, 8, 1, true) == 0);
    EXPECT(papr_unplug_request(machine, 8, NULL) == 0);
    EXPECT(papr_unplug_set_offer(machine, NULL) == 0);
    EXPECT(papr_unplug_get_sensor_state(machine, 9003, 8, NULL) == 0);
    EXPECT(papr_unplug_open_requests(machine, NULL, 0) == 1);
    EXPECT(papr_unplug_open_requests(machine, NULL, 1) == 1);
    EXPECT(papr_unplug_section(machine, 1, NULL, 0) == 20);
    EXPECT(papr_unplug_section(machine, 1, NULL, 20) == 20);
    papr_unplug_armed(machine, NULL, NULL);
    size = papr_unplug_save(machine, NULL, 0);
    EXPECT(size > 0 && papr_unplug_save(machine, NULL, size) == size);
    EXPECT(papr_unplug_restore(machine, NULL, 0) == PAPR_UNPLUG_ERROR_BAD_SAVE);
    EXPECT(papr_unplug_restore(machine, NULL, size) == PAPR_UNPLUG_ERROR_BAD_SAVE);
    EXPECT(papr_unplug_restore(machine, (const uint8_t *)&byte, 0) == PAPR_UNPLUG_ERROR_BAD_SAVE);
    papr_unplug_reset(machine);
    EXPECT(papr_unplug_next_effect(machine, NULL));
    EXPECT(papr_unplug_next_effect(machine, NULL));
    EXPECT(!papr_unplug_next_effect(machine, NULL));
    size = papr_unplug_explain(&effect, NULL, 0);
    EXPECT(size > 0 && papr_unplug_explain(&effect, NULL, 9) == size);
    EXPECT(papr_unplug_explain(&effect, &byte, 0) == size && byte == 'x');
    EXPECT(papr_unplug_explain(&effect, &byte, 1) == size && byte == '\0');
    EXPECT(papr_unplug_reason_name(UINT32_MAX) == NULL);
    papr_unplug_free(machine);
}

int main(void)
{
    give_no_machine();
    give_a_machine_nothing();
    return failures != 0;
}
