// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module needs of the kernel, see shim.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <asm/drmem.h>
#include <asm/machdep.h>
#include <asm/ptrace.h>
#include <asm/rtas.h>

#include "shim.h"

/* The part of the hot plug event that handle_dlpar_errorlog() is given; wire::hotplug::HotplugRequest. */
static_assert(sizeof(struct pseries_hp_errorlog) == 12);

bool papr_is_pseries(void)
{
	return machine_is(pseries);
}

bool papr_has_dr_connectors(void)
{
	return rtas_function_token(RTAS_FN_SET_INDICATOR) != RTAS_UNKNOWN_SERVICE &&
	       rtas_function_token(RTAS_FN_GET_SENSOR_STATE) != RTAS_UNKNOWN_SERVICE;
}

bool papr_has_return_probes(void)
{
	return IS_ENABLED(CONFIG_KRETPROBES);
}

struct papr_probe {
	struct kretprobe kretprobe;
	papr_enter_fn enter;
	papr_leave_fn leave;
};

unsigned long papr_probe_missed(const struct papr_probe *probe)
{
	return READ_ONCE(probe->kretprobe.nmissed) + READ_ONCE(probe->kretprobe.kp.nmissed);
}
NOKPROBE_SYMBOL(papr_probe_missed);

static struct papr_probe *probe_of(struct kretprobe_instance *instance)
{
#ifdef CONFIG_KRETPROBES
	struct kretprobe *kretprobe = get_kretprobe(instance);

	/* It may be gone for an instance that outlives unregister_kretprobe(). */
	return kretprobe ? container_of(kretprobe, struct papr_probe, kretprobe) : NULL;
#else
	return NULL;
#endif
}
NOKPROBE_SYMBOL(probe_of);

static int probe_enter(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct papr_probe *probe = probe_of(instance);

	return probe && probe->enter(regs, papr_probe_missed(probe)) ? 0 : 1;
}
NOKPROBE_SYMBOL(probe_enter);

static int probe_leave(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct papr_probe *probe = probe_of(instance);

	if (probe)
		probe->leave(regs_return_value(regs));
	return 0;
}
NOKPROBE_SYMBOL(probe_leave);

int papr_probe_register(const char *symbol, papr_enter_fn enter, papr_leave_fn leave, struct papr_probe **registered)
{
	struct papr_probe *probe;
	int err;

	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return -ENOMEM;

	probe->enter = enter;
	probe->leave = leave;
	probe->kretprobe.kp.symbol_name = symbol;
	probe->kretprobe.entry_handler = probe_enter;
	probe->kretprobe.handler = probe_leave;
	/*
	 * Only the one worker of an ordered workqueue is followed to the return, but every task that enters the
	 * function needs room until probe_enter() has sent it away.
	 */
	probe->kretprobe.maxactive = max(16U, 2 * num_possible_cpus());

	err = register_kretprobe(&probe->kretprobe);
	if (err) {
		kfree(probe);
		return err;
	}
	*registered = probe;
	return 0;
}

void papr_probe_unregister(struct papr_probe *probe)
{
	unregister_kretprobe(&probe->kretprobe);
	kfree(probe);
}

unsigned long papr_probe_argument(struct pt_regs *regs, unsigned int nr)
{
	return regs_get_kernel_argument(regs, nr);
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

int papr_get_sensor_state(u32 sensor, u32 index, u32 *state)
{
	int output = 0;
	int status;

	/* Not rtas_get_sensor(): it sleeps when firmware is busy. */
	status = rtas_call(rtas_function_token(RTAS_FN_GET_SENSOR_STATE), 2, 2, &output, sensor, index);
	*state = output;
	return status;
}
NOKPROBE_SYMBOL(papr_get_sensor_state);

int papr_set_indicator(u32 indicator, u32 index, u32 state)
{
	/* Not rtas_set_indicator(): it sleeps when firmware is busy, and hides the status. */
	return rtas_call(rtas_function_token(RTAS_FN_SET_INDICATOR), 3, 1, NULL, indicator, index, state);
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
	/* A refusal must be told also when memory is so short that no new worker can be made. */
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

void papr_worker_stop(void)
{
	destroy_workqueue(worker.queue);
}

static struct dentry *directory;

void papr_directory_create(const char *name)
{
	directory = debugfs_create_dir(name, NULL);
}

static int file_show(struct seq_file *to, void *unused)
{
	void (*show)(struct seq_file *to) = to->private;

	show(to);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(file);

void papr_file_create(const char *name, void (*show)(struct seq_file *to))
{
	debugfs_create_file(name, 0444, directory, show, &file_fops);
}

void papr_text_write(struct seq_file *to, const char *text, size_t length)
{
	seq_write(to, text, length);
}

void papr_directory_remove(void)
{
	debugfs_remove_recursive(directory);
}

void papr_log(const char *level, const char *line, size_t length)
{
	printk("%s" pr_fmt("%.*s\n"), level, (int)length, line);
}

bool papr_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(refusals, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&refusals);
}

/* The module! macro has no words for these. */
MODULE_VERSION("0.1.0");
MODULE_INFO(face, PAPR_UNPLUG_FACE);
