/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module's Rust needs of the kernel, in either build. No decision is made in C. No type
 * here has a layout that only C knows, so that Rust needs no generated bindings.
 */
#ifndef PAPR_UNPLUG_SHIM_H
#define PAPR_UNPLUG_SHIM_H

#include <linux/types.h>

struct pt_regs;

/*
 * Whether this is a pseries guest, whether its RTAS has the calls for DR connectors (to be called
 * before the first RTAS call), whether the kernel has return probes.
 */
bool papr_is_pseries(void);
bool papr_has_dr_connectors(void);
bool papr_has_return_probes(void);
/* Whether the kernel answers by itself: it has a tracepoint for its reports. Sleeps. */
bool papr_kernel_answers(void);
/* Finds a function of the kernel, or a few bytes behind its beginning: -ENOENT if there is none. */
int papr_find_function(const char *name, unsigned long *address);

/*
 * Whether probes are fprobes. On 64-bit powerpc a kprobe gives a task that was preempted in it the
 * r13 of another CPU (docs/adr/0005); an fprobe leaves r13 alone. In kernels without
 * unregister_fprobe_async(), unregistering an fprobe can fail.
 */
#if defined(CONFIG_PREEMPTION) && defined(CONFIG_FPROBE) && \
	defined(PAPR_HAS_UNREGISTER_FPROBE_ASYNC)
#define PAPR_FPROBES 1
#else
#define PAPR_FPROBES 0
#endif

/*
 * Whether kprobes are known to crash this kernel. Whether it has the fix cannot be seen from here.
 */
#define PAPR_KPROBES_UNSAFE \
	(IS_ENABLED(CONFIG_PREEMPTION) && !PAPR_FPROBES && num_possible_cpus() > 1)
#define PAPR_CAUTION \
	"this kernel is preemptible: without a fix, probes can crash it while more than one CPU " \
	"is online"

/*
 * Whether the module must not put its probes: kprobes are known to crash this kernel, and the
 * parameter unsafe_kprobes does not say that it has the fix.
 */
bool papr_must_not_probe(void);
/* Logs PAPR_CAUTION if PAPR_KPROBES_UNSAFE, for the build that cannot do so itself. */
void papr_caution(void);

/* Allocates an array, aligned for a u64; NULL if there is no memory. Both sleep. */
void *papr_allocate(size_t count, size_t size);
void papr_free(void *memory);

/*
 * The lock around the state of the module, with interrupts disabled. papr_unlock() is passed what
 * papr_lock() returned.
 */
unsigned long papr_lock(void);
void papr_unlock(unsigned long flags);

/* Whether this CPU holds the lock. The kernel logs an error of firmware within an RTAS call. */
bool papr_is_locked_here(void);

/* The number of groups of probes, return_probe::Group. */
#define PAPR_GROUPS 6

/*
 * A return probe in @group, below PAPR_GROUPS. @enter runs when the function is entered and returns
 * whether @leave is to run when the function has returned @ret. @leave is passed what @enter wrote
 * to @kept. Both run with preemption disabled and must neither sleep nor allocate.
 */
struct papr_probe;
typedef bool (*papr_enter_fn)(struct pt_regs *regs, unsigned long *kept);
typedef void (*papr_leave_fn)(unsigned long ret, unsigned long kept);
int papr_probe_register(const char *symbol, unsigned int group, papr_enter_fn enter,
			papr_leave_fn leave, struct papr_probe **probe);
/* When this returns, neither handler runs, nor will. */
void papr_probe_unregister(struct papr_probe *probe);
/* Returns the name with which the probe was registered. */
const char *papr_probe_symbol(const struct papr_probe *probe);
/* Returns the number of calls of the function for which no handler ran. */
unsigned long papr_probe_missed(const struct papr_probe *probe);
/* The same for all probes of a group. In any context. */
unsigned long papr_group_missed(unsigned int group);
/*
 * Waits until nobody is switching all probes of the kernel on or off, which is done one after the
 * other. Sleeps.
 */
void papr_probes_settle(void);

/* Calls papr_canary(), which does nothing: a probe on it shows whether probes fire. */
void papr_call_canary(void);

/* Returns argument @nr of the probed function, as a register holds it. */
unsigned long papr_probe_argument(struct pt_regs *regs, unsigned int nr);
/* Copies @size bytes from the address @from; false if they cannot be read. In any context. */
bool papr_read_kernel(void *to, unsigned long from, size_t size);
/* Offsets in the kernel's struct drmem_lmb. */
size_t papr_drmem_lmb_drc_index(void);
size_t papr_drmem_lmb_flags(void);
/* Offset, from a work item that the kernel queued for a request, of the request or its address. */
size_t papr_work_request(void);
/* Returns whether a device is a CPU, and its number. */
bool papr_device_is_cpu(unsigned long dev, u32 *cpu);
/* Returns the physical address of a page, given the address of its struct page. */
u64 papr_page_address(unsigned long page);
/* Whether notifiers are called with this before memory goes, and the errno in their answer. */
bool papr_memory_is_going(unsigned long action);
bool papr_node_is_going(unsigned long action);
int papr_notifier_errno(int answer);
/* Whether one CPU only is online; whether an online CPU other than @cpu does housekeeping. */
bool papr_is_last_cpu(void);
bool papr_is_housekeeper_but(u32 cpu);

/*
 * Tracepoints. @interrupted runs when the interrupt for hot plug events has been handled, or left
 * to a thread, which @handled tells. @queued
 * runs when the kernel has queued a work item for a request, before a worker can take it, and under
 * a lock of the workqueue; @begins in the worker that takes it; @ends in every worker that has done
 * any work item, which may have been freed, with whether that was for a request as far as the
 * kernel says so. @cpu_state runs when a state of CPU hotplug has ended, with the state that the
 * CPU had reached. @forks runs when a process has started another one, @exits when a process exits,
 * with its status as wait() gives it, and @finds_locked when the current process finds that another
 * one has locked a file. None may sleep or allocate. Without one of the first four or without the
 * kernel's function for that work, requests cannot be followed: -ENOENT. The others may be missing.
 */
struct papr_traces {
	void (*interrupted)(bool handled);
	void (*queued)(unsigned long work);
	void (*begins)(unsigned long work);
	void (*ends)(bool is_request);
	void (*cpu_state)(u32 cpu, u32 reached, u32 state, int ret);
	void (*forks)(u32 parent, u32 child);
	void (*exits)(u32 process, u32 status);
	void (*finds_locked)(void);
};
/* Whether @cpu_state runs, and whether @forks and @exits do. */
struct papr_traced {
	bool cpu_states;
	bool processes;
};
int papr_traces_attach(const struct papr_traces *traces, struct papr_traced *traced);
/* When this returns, none of the handlers runs, nor will. */
void papr_traces_detach(void);

/* The number of the current process. */
u32 papr_process(void);
/* Copies to and from the memory of the current process; false if that is not possible at once. */
bool papr_read_user(void *to, unsigned long from, size_t size);
bool papr_write_user(unsigned long to, u8 byte);
/* Whether a process has /proc/powerpc/rtas/error_log open. */
bool papr_event_log_is_open(void);
/*
 * Has each task that reads that file read it again, as if it had been stopped and continued. Before
 * that calls @asleep with the number of its process.
 */
void papr_event_log_wake(void (*asleep)(u32 process));

/* Seconds since the kernel was booted. */
u64 papr_uptime(void);
/* The current task; whether it is the worker of a workqueue; whether an interrupt is handled. */
unsigned long papr_current(void);
bool papr_current_is_worker(void);
bool papr_in_interrupt(void);

/*
 * Whether hot plug events have a source, and the kernel handles its interrupt. Else no request
 * reaches the kernel.
 */
bool papr_has_event_source(void);
/*
 * Returns the kernel's table of LMBs as it is in the device tree, and its size; NULL if there is
 * none, or if it is a crash kernel's. @sequences is whether an entry is for several LMBs
 * (ibm,dynamic-memory-v2). The memory stays as it is when the kernel writes another table. In any
 * context but NMI.
 */
const void *papr_lmb_table(size_t *size, bool *sequences);
/* Copies at most @size bytes of a property of the /rtas node. Returns the number of bytes. */
size_t papr_rtas_property(const char *name, void *to, size_t size);
/*
 * get-sensor-state and set-indicator, called once. Return the RTAS status, also if firmware is
 * busy. In any context but NMI.
 */
int papr_get_sensor_state(u32 sensor, u32 index, u32 *state);
int papr_set_indicator(u32 indicator, u32 index, u32 state);
/* Sleeps for as long as the busy status @status asks. */
void papr_rtas_pause(int status);

/* The module's worker: runs @run at least once after each wake. */
int papr_worker_start(void (*run)(void));
/* In any context, while the worker is started. Not under papr_lock(). */
void papr_worker_wake(void);
/* Waits until @run has done what it was last woken for. */
void papr_worker_flush(void);
/* The same, and ends the worker. */
void papr_worker_stop(void);

/* Has @down called, which may sleep, before the kernel reboots, halts or starts another one. */
int papr_reboot_watch(void (*down)(void));
void papr_reboot_unwatch(void);

/* Has @changed called, which may sleep, when a property of this name in the device tree changes. */
int papr_offer_watch(const char *name, void (*changed)(void));
void papr_offer_unwatch(void);

/* Whether another line may go to the kernel log now. */
bool papr_may_log(void);

#endif
