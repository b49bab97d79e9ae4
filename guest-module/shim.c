// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of the module that calls the kernel; see shim.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/kprobes.h>
#include <linux/magic.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/node.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/sched/isolation.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <asm/drmem.h>
#include <asm/machdep.h>
#include <asm/ptrace.h>
#include <asm/rtas.h>

#include "older.h"
#include "shim.h"

#if PAPR_TOO_OLD
#error "papr_unplug needs Linux 4.20 or newer, or RHEL 8.3 or newer"
#endif

/* An argument of a tracepoint. Not every kernel declares it in the headers above. */
struct pool_workqueue;

/* wire::hotplug::HotplugRequest */
static_assert(sizeof(struct pseries_hp_errorlog) == 12);

bool papr_is_pseries(void)
{
	return machine_is(pseries);
}

/* Firmware's tokens for the two calls, looked up once: kernels before 6.3 have no table of them. */
static int set_indicator = RTAS_UNKNOWN_SERVICE;
static int get_sensor_state = RTAS_UNKNOWN_SERVICE;

bool papr_has_dr_connectors(void)
{
	set_indicator = rtas_token("set-indicator");
	get_sensor_state = rtas_token("get-sensor-state");
	return set_indicator != RTAS_UNKNOWN_SERVICE && get_sensor_state != RTAS_UNKNOWN_SERVICE;
}

static bool unsafe_kprobes;
module_param(unsafe_kprobes, bool, 0444);
MODULE_PARM_DESC(unsafe_kprobes,
		 "Use kprobes on a preemptible kernel: it has the fix, or may crash");

bool papr_must_not_probe(void)
{
	return PAPR_KPROBES_UNSAFE && !unsafe_kprobes;
}

#ifdef PAPR_UNPLUG_KERNEL_CRATE
void papr_caution(void)
{
	if (PAPR_KPROBES_UNSAFE)
		pr_notice(PAPR_CAUTION "\n");
}
#endif

void *papr_allocate(size_t count, size_t size)
{
	return kvcalloc(count, size, GFP_KERNEL);
}

void papr_free(void *memory)
{
	kvfree(memory);
}

/* Taken in interrupts, and under a lock of the workqueue. No work is queued under it. */
static DEFINE_RAW_SPINLOCK(lock);
static int locked_by = -1;

unsigned long papr_lock(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	WRITE_ONCE(locked_by, raw_smp_processor_id());
	return flags;
}
NOKPROBE_SYMBOL(papr_lock);

bool papr_is_locked_here(void)
{
	return READ_ONCE(locked_by) == raw_smp_processor_id();
}
NOKPROBE_SYMBOL(papr_is_locked_here);

void papr_unlock(unsigned long flags)
{
	WRITE_ONCE(locked_by, -1);
	raw_spin_unlock_irqrestore(&lock, flags);
}
NOKPROBE_SYMBOL(papr_unlock);

static noinline void papr_canary(void)
{
	/*
	 * Kernels with -mprofile-kernel look for ftrace's call in the first 16 bytes of a function,
	 * where a shorter one has that of the next function as well.
	 */
	asm volatile("nop; nop; nop; nop");
}

void papr_call_canary(void)
{
	/* Through a pointer, to the global entry point: a kprobe may be before the local one. */
	void (*volatile canary)(void) = papr_canary;

	canary();
}

unsigned long papr_probe_argument(struct pt_regs *regs, unsigned int nr)
{
	/* Not regs_get_kernel_argument(), which older kernels lack. */
	return nr < 8 ? regs->gpr[3 + nr] : 0;
}
NOKPROBE_SYMBOL(papr_probe_argument);

bool papr_read_kernel(void *to, unsigned long from, size_t size)
{
	return copy_from_kernel_nofault(to, (const void *)from, size) == 0;
}
NOKPROBE_SYMBOL(papr_read_kernel);

size_t papr_drmem_lmb_drc_index(void)
{
	return offsetof(struct drmem_lmb, drc_index);
}
NOKPROBE_SYMBOL(papr_drmem_lmb_drc_index);

size_t papr_drmem_lmb_flags(void)
{
	return offsetof(struct drmem_lmb, flags);
}
NOKPROBE_SYMBOL(papr_drmem_lmb_flags);

size_t papr_work_request(void)
{
	/* struct pseries_hp_work, which is private to dlpar.c. A patched one holds the log itself. */
	struct hp_work {
		struct work_struct work;
		struct pseries_hp_errorlog *errlog;
	};

	return offsetof(struct hp_work, errlog);
}
NOKPROBE_SYMBOL(papr_work_request);

bool papr_device_is_cpu(unsigned long dev, u32 *cpu)
{
	const struct device *device = (const struct device *)dev;

	*cpu = device->id;
	return device->bus == &cpu_subsys;
}
NOKPROBE_SYMBOL(papr_device_is_cpu);

u64 papr_page_address(unsigned long page)
{
	return (u64)page_to_pfn((struct page *)page) << PAGE_SHIFT;
}
NOKPROBE_SYMBOL(papr_page_address);

bool papr_memory_is_going(unsigned long action)
{
	return action == MEM_GOING_OFFLINE;
}
NOKPROBE_SYMBOL(papr_memory_is_going);

bool papr_node_is_going(unsigned long action)
{
#ifdef NODE_REMOVING_LAST_MEMORY
	return action == NODE_REMOVING_LAST_MEMORY;
#else
	return false;
#endif
}
NOKPROBE_SYMBOL(papr_node_is_going);

int papr_notifier_errno(int answer)
{
	return notifier_to_errno(answer);
}
NOKPROBE_SYMBOL(papr_notifier_errno);

bool papr_is_last_cpu(void)
{
	return num_online_cpus() == 1;
}
NOKPROBE_SYMBOL(papr_is_last_cpu);

bool papr_is_housekeeper_but(u32 cpu)
{
	unsigned int other;

	for_each_cpu_and(other, cpu_online_mask, housekeeping_cpumask(HK_TYPE_DOMAIN))
		if (other != cpu)
			return true;
	return false;
}
NOKPROBE_SYMBOL(papr_is_housekeeper_but);

static const struct papr_traces *traces;

/* The address of a probe on pseries_hp_work_fn(). */
static unsigned long work_probe;

/*
 * A kprobe is at the local entry point of a function or at its call of ftrace, within the first
 * instructions. A work item has the global entry point.
 */
#define ENTRY_BYTES 32

static bool is_request_function(work_func_t function)
{
	return work_probe - (unsigned long)function < ENTRY_BYTES;
}

static bool is_request(const struct work_struct *work)
{
	return is_request_function(work->func);
}

int papr_find_function(const char *name, unsigned long *address)
{
	/* Kernels do not export kallsyms_lookup_name(). A disabled kprobe changes nothing. */
	struct kprobe kprobe = {
		.symbol_name = name,
		.flags = KPROBE_FLAG_DISABLED,
	};
	int err;

	err = register_kprobe(&kprobe);
	if (err)
		return err;
	*address = (unsigned long)kprobe.addr;
	unregister_kprobe(&kprobe);
	return 0;
}

bool papr_kernel_answers(void)
{
	unsigned long unused;

	/* It belongs to the tracepoint for the kernel's reports. */
	return !papr_find_function("__traceiter_dlpar_report", &unused);
}

static bool is_hotplug(const struct irqaction *action)
{
	/* The name in ras.c. The first letter differs for most interrupts. */
	return action && action->name && !strcmp(action->name, "RAS_HOTPLUG");
}

static void trace_interrupted(void *unused, int irq, struct irqaction *action, int ret)
{
	if (is_hotplug(action))
		traces->interrupted(ret == IRQ_HANDLED);
}

static void trace_queued(void *unused, int cpu, struct pool_workqueue *pwq,
			 struct work_struct *work)
{
	if (is_request(work))
		traces->queued((unsigned long)work);
}

static void trace_begins(void *unused, struct work_struct *work)
{
	if (is_request(work))
		traces->begins((unsigned long)work);
}

static void trace_ends(void *unused, struct work_struct *work, work_func_t function)
{
#ifdef PAPR_HAS_WORK_END_FUNCTION
	traces->ends(is_request_function(function));
#else
	/* Before 5.6, the tracepoint has one argument less. */
	traces->ends(false);
#endif
}

static void trace_cpu_state(void *unused, unsigned int cpu, int reached, int state, int ret)
{
	traces->cpu_state(cpu, reached, state, ret);
}

static void trace_fork(void *unused, struct task_struct *parent, struct task_struct *child)
{
	if (thread_group_leader(child))
		traces->forks(parent->tgid, child->tgid);
}

static void trace_exit(void *unused, struct task_struct *task)
{
	/* Not the argument for the end of the process, which older kernels lack. */
	if (!atomic_read(&task->signal->live))
		traces->exits(task->tgid, task->exit_code);
}

static void trace_lock(void *unused, struct inode *inode, void *file_lock, int ret)
{
	if (ret == -EAGAIN || ret == -EACCES)
		traces->finds_locked();
}

/* The kernel exports none of these to modules by name. */
static struct trace {
	const char *name;
	void *run;
	bool required;
	struct tracepoint *point;
} points[] = {
	{ .name = "irq_handler_exit", .run = trace_interrupted, .required = true },
	{ .name = "workqueue_queue_work", .run = trace_queued, .required = true },
	{ .name = "workqueue_execute_start", .run = trace_begins, .required = true },
	{ .name = "workqueue_execute_end", .run = trace_ends, .required = true },
	{ .name = "fcntl_setlk", .run = trace_lock },
	{ .name = "cpuhp_exit", .run = trace_cpu_state },
	{ .name = "sched_process_fork", .run = trace_fork },
	{ .name = "sched_process_exit", .run = trace_exit },
};

static bool has_point(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(points[i].name, name))
			return points[i].point;
	return false;
}

static void detach(struct trace *last)
{
	struct trace *trace;

	for (trace = points; trace != last; trace++)
		if (trace->point)
			tracepoint_probe_unregister(trace->point, trace->run, NULL);
	tracepoint_synchronize_unregister();
}

static void find_point(struct tracepoint *point, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(point->name, points[i].name))
			points[i].point = point;
}

int papr_traces_attach(const struct papr_traces *handlers, struct papr_traced *traced)
{
	struct trace *trace;
	int err;

	err = papr_find_function("pseries_hp_work_fn", &work_probe);
	if (err)
		return err;
	traces = handlers;
#ifdef CONFIG_TRACEPOINTS
	for_each_kernel_tracepoint(find_point, NULL);
#endif
	for (trace = points; trace != points + ARRAY_SIZE(points); trace++) {
		if (trace->point)
			err = tracepoint_probe_register(trace->point, trace->run, NULL);
		else if (trace->required)
			err = -ENOENT;
		if (err) {
			detach(trace);
			return err;
		}
	}
	traced->cpu_states = has_point("cpuhp_exit");
	traced->processes = has_point("sched_process_fork") && has_point("sched_process_exit");
	return 0;
}

void papr_traces_detach(void)
{
	detach(points + ARRAY_SIZE(points));
}

u32 papr_process(void)
{
	return current->tgid;
}
NOKPROBE_SYMBOL(papr_process);

bool papr_read_user(void *to, unsigned long from, size_t size)
{
	return copy_from_user_nofault(to, (const void __user *)from, size) == 0;
}
NOKPROBE_SYMBOL(papr_read_user);

bool papr_write_user(unsigned long to, u8 byte)
{
	return copy_to_user_nofault((void __user *)to, &byte, sizeof(byte)) == 0;
}
NOKPROBE_SYMBOL(papr_write_user);

/* Not by its path, which leads elsewhere, or nowhere, from where a module's worker is. */
static int is_event_log(const void *unused, struct file *file, unsigned int fd)
{
	const struct dentry *dentry = file->f_path.dentry;
	bool is_it = file_inode(file)->i_sb->s_magic == PROC_SUPER_MAGIC &&
		     !strcmp(dentry->d_name.name, "error_log") &&
		     !strcmp(dentry->d_parent->d_name.name, "rtas");

	return is_it ? fd + 1 : 0;
}

/* Returns 1 more than the first descriptor from @from on that is the event log's, or 0. */
static int find_event_log(struct task_struct *process, unsigned int from)
{
	struct task_struct *task;
	int found = 0;

	/* A process goes on when the task that it began with has exited and closed its files. */
	for_each_thread(process, task) {
		bool has_files;

		task_lock(task);
		has_files = task->files;
		if (has_files)
			found = iterate_fd(task->files, from, is_event_log, NULL);
		task_unlock(task);
		if (has_files)
			break;
	}
	return found;
}

bool papr_event_log_is_open(void)
{
	struct task_struct *process;
	bool found = false;

	rcu_read_lock();
	for_each_process(process) {
		found = find_event_log(process, 0);
		if (found)
			break;
	}
	rcu_read_unlock();
	return found;
}

/* Whether a task is in a system call whose first argument is this. */
static bool is_in_call_about(struct task_struct *task, unsigned int fd)
{
	const struct pt_regs *regs = task_pt_regs(task);
	unsigned long trap = regs ? regs->trap & ~0xfUL : 0;

	return (trap == 0xc00 || trap == 0x3000) && regs->orig_gpr3 == fd;
}

void papr_event_log_wake(void (*asleep)(u32 process))
{
	struct task_struct *process, *task;
	int found;

	rcu_read_lock();
	for_each_process(process) {
		for (found = find_event_log(process, 0); found;
		     found = find_event_log(process, found)) {
			for_each_thread(process, task) {
				if (task->flags & PF_EXITING || !is_in_call_about(task, found - 1))
					continue;
				asleep(process->tgid);
				/* As the freezer does: the system call begins anew. */
				set_tsk_thread_flag(task, TIF_SIGPENDING);
				wake_up_process(task);
			}
		}
	}
	rcu_read_unlock();
}

u64 papr_uptime(void)
{
	return ktime_get_boottime_seconds();
}
NOKPROBE_SYMBOL(papr_uptime);

unsigned long papr_current(void)
{
	return (unsigned long)current;
}
NOKPROBE_SYMBOL(papr_current);

bool papr_current_is_worker(void)
{
	return current->flags & PF_WQ_WORKER;
}
NOKPROBE_SYMBOL(papr_current_is_worker);

bool papr_in_interrupt(void)
{
	return in_hardirq();
}
NOKPROBE_SYMBOL(papr_in_interrupt);

bool papr_has_event_source(void)
{
	struct device_node *source;
	struct irq_data *data;
	int irq;

	source = of_find_node_by_path("/event-sources/hot-plug-events");
	/* The kernel has mapped the interrupt, and this finds the mapping. */
	irq = source ? of_irq_get(source, 0) : 0;
	of_node_put(source);
	data = irq > 0 ? irq_get_irq_data(irq) : NULL;
	return data && is_hotplug(irq_data_to_desc(data)->action);
}

const void *papr_lmb_table(size_t *size, bool *sequences)
{
	struct device_node *memory;
	const void *table;
	int length = 0;

	/* A crash kernel holds little, and the rest is what it is to dump. */
	if (is_kdump_kernel())
		return NULL;
	memory = of_find_node_by_path("/ibm,dynamic-reconfiguration-memory");
	/* The kernel writes the first one if it is there. */
	table = of_get_property(memory, "ibm,dynamic-memory", &length);
	*sequences = !table;
	if (!table)
		table = of_get_property(memory, "ibm,dynamic-memory-v2", &length);
	of_node_put(memory);
	*size = table ? length : 0;
	return table;
}
NOKPROBE_SYMBOL(papr_lmb_table);

size_t papr_rtas_property(const char *name, void *to, size_t size)
{
	struct device_node *rtas;
	const void *value;
	size_t copied = 0;
	int length;

	rtas = of_find_node_by_path("/rtas");
	value = of_get_property(rtas, name, &length);
	if (value && length > 0) {
		copied = min_t(size_t, length, size);
		memcpy(to, value, copied);
	}
	of_node_put(rtas);
	return copied;
}

int papr_get_sensor_state(u32 sensor, u32 index, u32 *state)
{
	int output = 0;
	int status;

	/* Not rtas_get_sensor(): it sleeps when firmware is busy. */
	status = rtas_call(get_sensor_state, 2, 2, &output, sensor, index);
	*state = output;
	return status;
}
NOKPROBE_SYMBOL(papr_get_sensor_state);

int papr_set_indicator(u32 indicator, u32 index, u32 state)
{
	/* Not rtas_set_indicator(): it sleeps when firmware is busy, and hides the status. */
	return rtas_call(set_indicator, 3, 1, NULL, indicator, index, state);
}
NOKPROBE_SYMBOL(papr_set_indicator);

void papr_rtas_pause(int status)
{
	rtas_busy_delay(status);
}

static struct {
	struct workqueue_struct *queue;
	struct work_struct work;
	void (*run)(void);
} worker;

static void worker_run(struct work_struct *work)
{
	worker.run();
}

int papr_worker_start(void (*run)(void))
{
	/* With a rescuer, because a refusal must be told also when memory is short. */
	worker.queue = alloc_ordered_workqueue("papr_unplug", WQ_MEM_RECLAIM);
	if (!worker.queue)
		return -ENOMEM;
	INIT_WORK(&worker.work, worker_run);
	worker.run = run;
	return 0;
}

void papr_worker_wake(void)
{
	queue_work(worker.queue, &worker.work);
}
NOKPROBE_SYMBOL(papr_worker_wake);

void papr_worker_flush(void)
{
	flush_workqueue(worker.queue);
}

void papr_worker_stop(void)
{
	destroy_workqueue(worker.queue);
}

static void (*going_down)(void);

static int reboot_notify(struct notifier_block *block, unsigned long action, void *unused)
{
	going_down();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = reboot_notify };

int papr_reboot_watch(void (*down)(void))
{
	going_down = down;
	return register_reboot_notifier(&reboot_block);
}

void papr_reboot_unwatch(void)
{
	unregister_reboot_notifier(&reboot_block);
}

static struct {
	const char *name;
	void (*changed)(void);
} offer;

static int offer_notify(struct notifier_block *block, unsigned long action, void *data)
{
	const struct of_reconfig_data *change = data;

	switch (action) {
	case OF_RECONFIG_ADD_PROPERTY:
	case OF_RECONFIG_REMOVE_PROPERTY:
	case OF_RECONFIG_UPDATE_PROPERTY:
		if (!strcmp(change->prop->name, offer.name))
			offer.changed();
	}
	return NOTIFY_DONE;
}

static struct notifier_block offer_block = { .notifier_call = offer_notify };

int papr_offer_watch(const char *name, void (*changed)(void))
{
	offer.name = name;
	offer.changed = changed;
	return of_reconfig_notifier_register(&offer_block);
}

void papr_offer_unwatch(void)
{
	of_reconfig_notifier_unregister(&offer_block);
}

bool papr_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(refusals, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&refusals);
}

/* The module! macro of the kernel crate has no fields for these. */
MODULE_VERSION("0.1.0");
MODULE_INFO(build, PAPR_UNPLUG_BUILD);
