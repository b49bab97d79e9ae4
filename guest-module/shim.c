// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module needs of the kernel and the kernel crate does not offer, see shim.h.
 */
#include <linux/err.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
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
	void *observer;
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

	return probe && probe->enter(probe->observer, regs, papr_probe_missed(probe)) ? 0 : 1;
}
NOKPROBE_SYMBOL(probe_enter);

static int probe_leave(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct papr_probe *probe = probe_of(instance);

	if (probe)
		probe->leave(probe->observer, regs_return_value(regs));
	return 0;
}
NOKPROBE_SYMBOL(probe_leave);

struct papr_probe *papr_probe_register(const char *symbol, papr_enter_fn enter, papr_leave_fn leave, void *observer)
{
	struct papr_probe *probe;
	int err;

	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return ERR_PTR(-ENOMEM);

	probe->enter = enter;
	probe->leave = leave;
	probe->observer = observer;
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
		return ERR_PTR(err);
	}
	return probe;
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

struct papr_worker {
	struct workqueue_struct *queue;
	struct work_struct work;
	void (*run)(void *context);
	void *context;
};

static void worker_run(struct work_struct *work)
{
	struct papr_worker *worker = container_of(work, struct papr_worker, work);

	worker->run(worker->context);
}

struct papr_worker *papr_worker_create(void (*run)(void *context), void *context)
{
	struct papr_worker *worker;

	worker = kzalloc(sizeof(*worker), GFP_KERNEL);
	if (!worker)
		return ERR_PTR(-ENOMEM);

	/* A refusal must be told also when memory is so short that no new worker can be made. */
	worker->queue = alloc_ordered_workqueue("papr_unplug", WQ_MEM_RECLAIM);
	if (!worker->queue) {
		kfree(worker);
		return ERR_PTR(-ENOMEM);
	}
	INIT_WORK(&worker->work, worker_run);
	worker->run = run;
	worker->context = context;
	return worker;
}

void papr_worker_wake(struct papr_worker *worker)
{
	queue_work(worker->queue, &worker->work);
}
NOKPROBE_SYMBOL(papr_worker_wake);

void papr_worker_destroy(struct papr_worker *worker)
{
	destroy_workqueue(worker->queue);
	kfree(worker);
}

bool papr_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(refusals, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&refusals);
}

/* The module! macro has no word for it. */
MODULE_VERSION("0.1.0");
