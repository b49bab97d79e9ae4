/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Calls every function without a machine, and with a machine and nothing to read or write. Prints what is not as expected. */

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
    EXPECT(papr_unplug_request(NULL, 8, NULL, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_withhold(NULL, 8, NULL, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_request_together(NULL, NULL, 3, NULL, 0, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_withdraw(NULL, 1) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_set_offer(NULL, 0, 0, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_load_end(NULL) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_import(NULL, 8, 4, true) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_restore(NULL, NULL, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_set_indicator(NULL, 9001, 8, 0, NULL, 0) == -1);
    EXPECT(papr_unplug_get_sensor_state(NULL, 9003, 8, &numbers[0]) == -1 && numbers[0] == 0);
    EXPECT(papr_unplug_configure(NULL, 8, true) == -1);
    EXPECT(papr_unplug_configured(NULL, 8) == -1);
    EXPECT(papr_unplug_state(NULL, 8) == 0);
    EXPECT(!papr_unplug_pending(NULL, 8));
    EXPECT(papr_unplug_renumbered(NULL, 8) == 8);
    EXPECT(!papr_unplug_has_more(NULL));
    EXPECT(!papr_unplug_has_effect(NULL));
    EXPECT(!papr_unplug_next_effect(NULL, NULL, 0));
    EXPECT(papr_unplug_open_requests(NULL, NULL, 0, 0) == 0);
    EXPECT(papr_unplug_outcomes(NULL, NULL, 0, 0) == 0);
    EXPECT(papr_unplug_max_save(NULL) == 0);
    EXPECT(papr_unplug_save(NULL, NULL, 0) == 0);
    EXPECT(papr_unplug_explain(NULL, 0, NULL, 0) == 0);
    EXPECT(papr_unplug_error(NULL) != NULL);
    papr_unplug_armed(NULL, &numbers[0], &numbers[1]);
    EXPECT(numbers[0] == 0 && numbers[1] == 0);
    papr_unplug_reset(NULL);
    papr_unplug_cas(NULL);
    papr_unplug_load_begin(NULL);
    papr_unplug_free(NULL);
}

static void give_a_machine_nothing(void)
{
    const PaprUnplugEffect effect = {
        .kind = PAPR_UNPLUG_EFFECT_KIND_DELETE,
        .resource = PAPR_UNPLUG_RESOURCE_CPU,
        .first = 8,
        .count = 1,
        .by = PAPR_UNPLUG_CAUSE_GUEST,
    };
    PaprUnplug *machine = papr_unplug_new(NULL, 0);
    size_t size;
    char byte = 'x';

    EXPECT(papr_unplug_add(machine, PAPR_UNPLUG_RESOURCE_CPU, 8, 0) == PAPR_UNPLUG_ERROR_ARGUMENT);
    EXPECT(papr_unplug_add(machine, PAPR_UNPLUG_RESOURCE_CPU, 8, 1) == 0);
    EXPECT(papr_unplug_attach(machine, 8, 1, true) == 0);
    EXPECT(papr_unplug_request(machine, 8, NULL, 0) == 0);
    EXPECT(papr_unplug_request(machine, 8, NULL, 4096) == 0);
    EXPECT(papr_unplug_request_together(machine, NULL, 3, NULL, 0, 2) == 0);
    EXPECT(papr_unplug_withdraw(machine, 2) == 0);
    EXPECT(papr_unplug_next_effect(machine, NULL, 0));
    EXPECT(papr_unplug_set_offer(machine, 0, 0, 0) == 0);
    EXPECT(papr_unplug_get_sensor_state(machine, 9003, 8, NULL) == 0);
    EXPECT(papr_unplug_open_requests(machine, NULL, 0, 0) == 1);
    EXPECT(papr_unplug_open_requests(machine, NULL, 32, 1) == 1);
    EXPECT(papr_unplug_outcomes(machine, NULL, 0, 0) == 1);
    EXPECT(papr_unplug_outcomes(machine, NULL, 56, 1) == 1);
    papr_unplug_armed(machine, NULL, NULL);
    size = papr_unplug_save(machine, NULL, 0);
    EXPECT(size > 0 && papr_unplug_save(machine, NULL, size) == size);
    EXPECT(papr_unplug_restore(machine, NULL, 0) == PAPR_UNPLUG_ERROR_BAD_SAVE);
    EXPECT(papr_unplug_restore(machine, NULL, size) == PAPR_UNPLUG_ERROR_BAD_SAVE);
    EXPECT(papr_unplug_restore(machine, (const uint8_t *)&byte, 0) == PAPR_UNPLUG_ERROR_BAD_SAVE);
    papr_unplug_reset(machine);
    EXPECT(papr_unplug_next_effect(machine, NULL, 0));
    EXPECT(papr_unplug_next_effect(machine, NULL, 56));
    EXPECT(!papr_unplug_next_effect(machine, NULL, 0));
    size = papr_unplug_explain(&effect, sizeof(effect), NULL, 0);
    EXPECT(size > 0 && papr_unplug_explain(&effect, sizeof(effect), NULL, 9) == size);
    EXPECT(papr_unplug_explain(&effect, sizeof(effect), &byte, 0) == size && byte == 'x');
    EXPECT(papr_unplug_explain(&effect, sizeof(effect), &byte, 1) == size && byte == '\0');
    EXPECT(papr_unplug_explain(&effect, 0, &byte, 1) == 0);
    EXPECT(papr_unplug_reason_name(UINT32_MAX) == NULL);
    EXPECT(papr_unplug_reason_persistence(UINT32_MAX) == PAPR_UNPLUG_PERSISTENCE_UNKNOWN);
    papr_unplug_free(machine);
}

int main(void)
{
    give_no_machine();
    give_a_machine_nothing();
    return failures != 0;
}
