/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that the module's Rust needs of the kernel, whichever face it is built with. No decision is made in C. Nothing here
 * takes a type that only C can lay out, so that Rust needs no generated bindings for it.
 */
#ifndef PAPR_UNPLUG_SHIM_H
#define PAPR_UNPLUG_SHIM_H

#include <linux/types.h>

struct pt_regs;
struct seq_file;

/*
 * Whether this is a pseries guest, whether its RTAS knows DR connectors (to be asked before the first call), whether the
 * kernel has return probes.
 */
bool papr_is_pseries(void);
bool papr_has_dr_connectors(void);
bool papr_has_return_probes(void);

/*
 * Whether probes are fprobes. On 64-bit powerpc a kprobe gives a task that was preempted in it the r13 of another CPU
 * (docs/adr/0005); an fprobe leaves r13 alone. Before unregister_fprobe_async(), to unregister one could fail.
 */
#if defined(CONFIG_PREEMPTION) && defined(CONFIG_FPROBE) && defined(PAPR_HAS_UNREGISTER_FPROBE_ASYNC)
#define PAPR_FPROBES 1
#else
#define PAPR_FPROBES 0
#endif

/* What is known against kprobes in this kernel, if there is something. Whether it has the fix cannot be seen from here. */
#define PAPR_CAUTION "this kernel is preemptible: without a fix, probes can crash it while more than one CPU is online"
#define papr_wants_caution() (IS_ENABLED(CONFIG_PREEMPTION) && !PAPR_FPROBES && num_possible_cpus() > 1)

/* Says it in the kernel log; for the face that cannot do so by itself. */
void papr_caution(void);

/* Whether requests are to be followed by the kernel's work on them, also where there is a better way. */
bool papr_is_to_go_by_work(void);

/*
 * A return probe. @enter runs when the function is entered and says whether its return is of interest; @missed calls of
 * it went by unseen so far. @leave runs when the function has returned @ret. Both run with preemption off and must
 * neither sleep nor allocate.
 */
struct papr_probe;
typedef bool (*papr_enter_fn)(struct pt_regs *regs, unsigned long missed);
typedef void (*papr_leave_fn)(unsigned long ret);
int papr_probe_register(const char *symbol, papr_enter_fn enter, papr_leave_fn leave, struct papr_probe **probe);
/* When it returns, neither handler runs, nor will. */
void papr_probe_unregister(struct papr_probe *probe);
/* The name that it was registered by. */
const char *papr_probe_symbol(const struct papr_probe *probe);
/* How many calls of the function went by without the handlers. */
unsigned long papr_probe_missed(const struct papr_probe *probe);
/* The same of the probes that were registered by this name, or of all for NULL. In any context. */
unsigned long papr_probes_missed(const char *symbol);

/* Argument @nr of the probed function, as a register's worth. */
unsigned long papr_probe_argument(struct pt_regs *regs, unsigned int nr);
/* Copies @size bytes from @from on; false if they cannot be read. Any address is safe, in any context. */
bool papr_read_kernel(void *to, unsigned long from, size_t size);
/* Where drc_index and flags stand in the kernel's struct drmem_lmb. */
size_t papr_drmem_lmb_drc_index(void);
size_t papr_drmem_lmb_flags(void);
/* Where the address of the request stands, behind a work item that the kernel has queued for one. */
size_t papr_work_request(void);
/* Whether a device is a CPU, and which. */
bool papr_device_is_cpu(unsigned long dev, u32 *cpu);
/* The physical address of a page, by that of its struct page. */
u64 papr_page_address(unsigned long page);
/* Whether memory and node notifiers are asked with this before memory goes, and the errno of their answer. */
bool papr_memory_is_going(unsigned long action);
bool papr_node_is_going(unsigned long action);
int papr_notifier_errno(int answer);
/* Whether one CPU only is online; whether another one than @cpu is and does the kernel's housekeeping. */
bool papr_is_last_cpu(void);
bool papr_is_housekeeper_but(u32 cpu);

/*
 * Tracepoints. @interrupted runs when the interrupt for hot plug events has been handled; @queued when a work item is
 * queued that calls @function, before a worker can take it; @begins in the worker that has taken it; @ends there when it
 * has been done, and may be gone; @cpu_state when a state of CPU hotplug has ended, with the one that the CPU had reached
 * by then. None may sleep or allocate, and @queued runs with a lock of the workqueue. Without one of the first four,
 * requests cannot be followed: -ENOENT. @cpu_state may be missing.
 */
struct papr_traces {
	void (*interrupted)(void);
	void (*queued)(unsigned long work, unsigned long function);
	void (*begins)(unsigned long work);
	void (*ends)(void);
	void (*cpu_state)(u32 cpu, u32 reached, u32 state, int ret);
};
int papr_traces_attach(const struct papr_traces *traces, bool *has_cpu_state);
/* When it returns, none of them runs, nor will. */
void papr_traces_detach(void);

/* The running task, and whether it is a workqueue's worker; whether it was interrupted by this. */
unsigned long papr_current(void);
bool papr_current_is_worker(void);
bool papr_in_interrupt(void);

/* Copies at most @size bytes of a property of the /rtas node; returns how many. */
size_t papr_rtas_property(const char *name, void *to, size_t size);
/* get-sensor-state and set-indicator, once: the RTAS status, also when it is busy. In any context but NMI. */
int papr_get_sensor_state(u32 sensor, u32 index, u32 *state);
int papr_set_indicator(u32 indicator, u32 index, u32 state);
/* Sleeps for as long as the busy status @status asks for. */
void papr_rtas_pause(int status);

/* The module's own worker: runs @run once or more after each wake. */
int papr_worker_start(void (*run)(void));
/* In any context, from when it was started on until it is stopped. */
void papr_worker_wake(void);
/* Waits until @run has done what it was last woken for; the latter also ends the worker. */
void papr_worker_flush(void);
void papr_worker_stop(void);

/* Runs @down, which may sleep, before the kernel reboots, halts or starts another one. */
int papr_reboot_watch(void (*down)(void));
void papr_reboot_unwatch(void);

/* The module's directory in debugfs. */
void papr_directory_create(const char *name);
/* A file in it; each reader is given what @show writes. */
void papr_file_create(const char *name, void (*show)(struct seq_file *to));
void papr_text_write(struct seq_file *to, const char *text, size_t length);
/* Removes the directory; when it returns, no file is read any more. */
void papr_directory_remove(void);

/* One line for the kernel log, without its end, at a level such as KERN_ERR. */
void papr_log(const char *level, const char *line, size_t length);
/* Whether one more line may go to the kernel log now. */
bool papr_may_log(void);

#endif
