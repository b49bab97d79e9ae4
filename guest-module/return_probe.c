// SPDX-License-Identifier: GPL-2.0-only
/*
 * Return probes, see shim.h: fprobes on a preemptible kernel that has them, else kretprobes.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "older.h"
#include "shim.h"

#if PAPR_FPROBES
#include <linux/fprobe.h>
#include <linux/ftrace.h>
#endif

struct papr_probe {
	struct hlist_node node;
	struct rcu_head rcu;
	const char *symbol;
	papr_enter_fn enter;
	papr_leave_fn leave;
#if PAPR_FPROBES
	struct fprobe fprobe;
#else
	struct kretprobe kretprobe;
#endif
};

const char *papr_probe_symbol(const struct papr_probe *probe)
{
	return probe->symbol;
}

#if PAPR_FPROBES

bool papr_has_return_probes(void)
{
	return true;
}

unsigned long papr_probe_missed(const struct papr_probe *probe)
{
	return READ_ONCE(probe->fprobe.nmissed);
}
NOKPROBE_SYMBOL(papr_probe_missed);

static int probe_enter(struct fprobe *fprobe, unsigned long function, unsigned long caller,
		       struct ftrace_regs *regs, void *kept)
{
	struct papr_probe *probe = container_of(fprobe, struct papr_probe, fprobe);

	return probe->enter(&arch_ftrace_regs(regs)->regs, kept) ? 0 : 1;
}
NOKPROBE_SYMBOL(probe_enter);

static void probe_leave(struct fprobe *fprobe, unsigned long function, unsigned long caller,
			struct ftrace_regs *regs, void *kept)
{
	struct papr_probe *probe = container_of(fprobe, struct papr_probe, fprobe);

	probe->leave(ftrace_regs_get_return_value(regs), *(unsigned long *)kept);
}
NOKPROBE_SYMBOL(probe_leave);

static int attach(struct papr_probe *probe)
{
	probe->fprobe.entry_handler = probe_enter;
	probe->fprobe.exit_handler = probe_leave;
	probe->fprobe.entry_data_size = sizeof(unsigned long);
	return register_fprobe_syms(&probe->fprobe, &probe->symbol, 1);
}

static void detach(struct papr_probe *probe)
{
	unregister_fprobe(&probe->fprobe);
}

void papr_probes_settle(void)
{
	static struct ftrace_ops none;

	/* Takes ftrace_lock, as whoever sets kernel.ftrace_enabled does, and filters nothing. */
	ftrace_set_filter(&none, NULL, 0, 1);
}

MODULE_INFO(probes, "fprobe");

#else

bool papr_has_return_probes(void)
{
	return IS_ENABLED(CONFIG_KRETPROBES);
}

unsigned long papr_probe_missed(const struct papr_probe *probe)
{
	return READ_ONCE(probe->kretprobe.nmissed) + READ_ONCE(probe->kretprobe.kp.nmissed);
}
NOKPROBE_SYMBOL(papr_probe_missed);

static struct papr_probe *probe_of(struct kretprobe_instance *instance)
{
#ifdef CONFIG_KRETPROBES
	struct kretprobe *kretprobe = get_kretprobe(instance);

	/* NULL if the instance outlives unregister_kretprobe(). */
	return kretprobe ? container_of(kretprobe, struct papr_probe, kretprobe) : NULL;
#else
	return NULL;
#endif
}
NOKPROBE_SYMBOL(probe_of);

static int probe_enter(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct papr_probe *probe = probe_of(instance);

	return probe && probe->enter(regs, (unsigned long *)instance->data) ? 0 : 1;
}
NOKPROBE_SYMBOL(probe_enter);

static int probe_leave(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct papr_probe *probe = probe_of(instance);

	if (probe)
		probe->leave(regs_return_value(regs), *(unsigned long *)instance->data);
	return 0;
}
NOKPROBE_SYMBOL(probe_leave);

static int attach(struct papr_probe *probe)
{
	unsigned long unused;
	int err;

	probe->kretprobe.kp.symbol_name = probe->symbol;
	probe->kretprobe.entry_handler = probe_enter;
	probe->kretprobe.handler = probe_leave;
	probe->kretprobe.data_size = sizeof(unsigned long);
	/*
	 * Few tasks are followed to the return at a time: the worker of an ordered workqueue, and
	 * readers of events. But each task that enters the function needs an instance until
	 * probe_enter() returns.
	 */
	probe->kretprobe.maxactive = max(16U, 2 * num_possible_cpus());
	err = register_kretprobe(&probe->kretprobe);
	/* Before 97c753e62e6c (5.11), this is also the error where there is no such function. */
	if (err == -EINVAL && papr_find_function(probe->symbol, &unused) == -ENOENT)
		err = -ENOENT;
	return err;
}

static void detach(struct papr_probe *probe)
{
	unregister_kretprobe(&probe->kretprobe);
}

void papr_probes_settle(void)
{
	static struct kprobe none;

	/* Takes kprobe_mutex, as whoever writes to kprobes/enabled does, and finds no such probe. */
	enable_kprobe(&none);
}

MODULE_INFO(probes, "kretprobe");

#endif

static struct hlist_head groups[PAPR_GROUPS];

unsigned long papr_group_missed(unsigned int group)
{
	const struct papr_probe *probe;
	unsigned long missed = 0;

	rcu_read_lock();
	hlist_for_each_entry_rcu(probe, &groups[group], node)
		missed += papr_probe_missed(probe);
	rcu_read_unlock();
	return missed;
}
NOKPROBE_SYMBOL(papr_group_missed);

int papr_probe_register(const char *symbol, unsigned int group, papr_enter_fn enter,
			papr_leave_fn leave, struct papr_probe **registered)
{
	struct papr_probe *probe;
	int err;

	if (group >= PAPR_GROUPS)
		return -EINVAL;
	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return -ENOMEM;

	probe->symbol = symbol;
	probe->enter = enter;
	probe->leave = leave;
	err = attach(probe);
	if (err) {
		kfree(probe);
		return err;
	}
	hlist_add_head_rcu(&probe->node, &groups[group]);
	*registered = probe;
	return 0;
}

void papr_probe_unregister(struct papr_probe *probe)
{
	detach(probe);
	hlist_del_rcu(&probe->node);
	kfree_rcu(probe, rcu);
}
