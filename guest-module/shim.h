/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module needs of the kernel and the kernel crate does not offer: return probes, a single RTAS call, a
 * workqueue that can be drained. No decision is made in C. Nothing here takes a type that only C can lay out, so that
 * Rust needs no generated bindings for it.
 */
#ifndef PAPR_UNPLUG_SHIM_H
#define PAPR_UNPLUG_SHIM_H

#include <linux/types.h>

struct pt_regs;

/* Whether this is a pseries guest, whether its RTAS knows DR connectors, whether the kernel has return probes. */
bool papr_is_pseries(void);
bool papr_has_dr_connectors(void);
bool papr_has_return_probes(void);

/*
 * A return probe. @enter runs when the function is entered and says whether its return is of interest; @missed calls of
 * it went by unseen so far. @leave runs when the function has returned @ret. Both run with preemption off and must
 * neither sleep nor allocate.
 */
struct papr_probe;
typedef bool (*papr_enter_fn)(void *observer, struct pt_regs *regs, unsigned long missed);
typedef void (*papr_leave_fn)(void *observer, unsigned long ret);
struct papr_probe *papr_probe_register(const char *symbol, papr_enter_fn enter, papr_leave_fn leave, void *observer);
/* When it returns, neither handler runs, nor will. */
void papr_probe_unregister(struct papr_probe *probe);
/* How many calls of the function went by without the handlers. */
unsigned long papr_probe_missed(const struct papr_probe *probe);

/* Argument @nr of the probed function, as a register's worth. */
unsigned long papr_probe_argument(struct pt_regs *regs, unsigned int nr);
/* Copies @size bytes from @from on; false if they cannot be read. Any address is safe, in any context. */
bool papr_read_kernel(void *to, unsigned long from, size_t size);
/* Where drc_index stands in the kernel's struct drmem_lmb. */
size_t papr_drmem_lmb_drc_index(void);

/* The running task, and whether it is a workqueue's worker. */
unsigned long papr_current(void);
bool papr_current_is_worker(void);

/* get-sensor-state and set-indicator, once: the RTAS status, also when it is busy. In any context but NMI. */
int papr_get_sensor_state(u32 sensor, u32 index, u32 *state);
int papr_set_indicator(u32 indicator, u32 index, u32 state);
/* Sleeps for as long as the busy status @status asks for. */
void papr_rtas_pause(int status);

/* A worker of the module's own: runs @run once or more after each wake. */
struct papr_worker;
struct papr_worker *papr_worker_create(void (*run)(void *context), void *context);
/* In any context. */
void papr_worker_wake(struct papr_worker *worker);
/* Waits until @run has done what it was last woken for. */
void papr_worker_destroy(struct papr_worker *worker);

/* Whether one more line may go to the kernel log now. */
bool papr_may_log(void);

#endif
