// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injector for test guests: has the kernel and the hypervisor do what they do not do by
 * themselves. The faults of the parameters are in force from insmod to rmmod. Nothing here depends
 * on papr_unplug. If both have a probe on a function, the probe of the module that was loaded last
 * runs first. That must be papr_unplug's for a function that returns early, and papr_fault's for
 * requests that are rewritten.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/device.h>
#include <linux/hex.h>
#include <linux/interrupt.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include <asm/drmem.h>
#include <asm/ptrace.h>
#include <asm/rtas.h>

#define MAX_FUNCTIONS 4
#define MAX_CALLS 4

/*
 * Functions of the kernel that return early in workers, with what they return. If argument is not
 * negative, only calls whose argument of that number (from 0) has that value do.
 */
static char *function[MAX_FUNCTIONS];
static int functions;
module_param_array(function, charp, &functions, 0444);
static long returns[MAX_FUNCTIONS];
module_param_array(returns, long, NULL, 0444);
static int argument[MAX_FUNCTIONS] = { [0 ... MAX_FUNCTIONS - 1] = -1 };
module_param_array(argument, int, NULL, 0444);
static unsigned long value[MAX_FUNCTIONS];
module_param_array(value, ulong, NULL, 0444);

/*
 * What the hypervisor's requests for a removal are rewritten to: struct pseries_hp_errorlog, 12
 * bytes in hexadecimal. The fourth byte, which says whether there is a token, is kept.
 */
static char *request;
module_param(request, charp, 0444);

/*
 * What the teardown of a state of CPU hotplug returns, which is added as a driver would. The number
 * of the state can be read back.
 */
static int veto;
module_param(veto, int, 0444);
static int state;
module_param(state, int, 0444);

/* Whether CPU hotplug is disabled. */
static bool disabled;
module_param(disabled, bool, 0444);

/* The CPU whose device must not go offline. */
static int fixed = -1;
module_param(fixed, int, 0444);

/* Whether a signal is pending while offline_pages() runs in a worker. */
static bool interrupt;
module_param(interrupt, bool, 0444);

/*
 * The DRC index of an LMB, and the flags of its entry in the kernel's table. lmbs is the address of
 * drmem_info in /proc/kallsyms.
 */
static uint lmb;
module_param(lmb, uint, 0444);
static uint flags;
module_param(flags, uint, 0444);
static unsigned long lmbs;
module_param(lmbs, ulong, 0444);

/*
 * set-indicator calls at load: indicator, DRC index and state of each. The CPU of the number caller
 * makes them. The RTAS statuses can be read back.
 */
static uint calls[3 * MAX_CALLS];
static int call_words;
module_param_array(calls, uint, &call_words, 0444);
static int caller;
module_param(caller, int, 0444);
static int statuses[MAX_CALLS];
module_param_array(statuses, int, NULL, 0444);

/*
 * The address of queue_hotplug_event() in /proc/kallsyms, which is called at load with a request
 * that is in no event log: to remove an LMB that is not there.
 */
static unsigned long event;
module_param(event, ulong, 0444);

/* A property of /rtas that is removed and added again, as if the guest had moved. */
static char *property;
module_param(property, charp, 0444);

/* The interrupt for hot plug events, which is not handled any more. */
static uint interrupt_of_events;
module_param(interrupt_of_events, uint, 0444);

static bool in_worker(void)
{
	return in_task() && current->flags & PF_WQ_WORKER;
}

static struct kprobe function_probe[MAX_FUNCTIONS];

static int return_early(struct kprobe *probe, struct pt_regs *regs)
{
	int i = probe - function_probe;

	if (!in_worker() || (argument[i] >= 0 && regs->gpr[3 + argument[i]] != value[i]))
		return 0;

	regs->gpr[3] = returns[i];
	regs_set_return_ip(regs, regs->link);
	return 1;
}

static void prevent_optimisation(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
	/* A probe that is optimised to a jump could not skip the function. This handler prevents it. */
}

static int begin_function(void)
{
	int err;
	int i;

	for (i = 0; i < functions; i++) {
		err = -EINVAL;
		if (argument[i] > 7)
			break;
		function_probe[i].symbol_name = function[i];
		function_probe[i].pre_handler = return_early;
		if (!IS_ENABLED(CONFIG_KPROBES_ON_FTRACE))
			function_probe[i].post_handler = prevent_optimisation;
		err = register_kprobe(&function_probe[i]);
		if (err)
			break;
	}
	if (i == functions)
		return 0;

	while (i--)
		unregister_kprobe(&function_probe[i]);
	return err;
}

static void end_function(void)
{
	int i = functions;

	while (i--)
		unregister_kprobe(&function_probe[i]);
}

static u8 replacement[sizeof(struct pseries_hp_errorlog)];

static int rewrite(struct kprobe *probe, struct pt_regs *regs)
{
	struct pseries_hp_errorlog *event = (void *)regs->gpr[3];

	if (event->action == PSERIES_HP_ELOG_ACTION_REMOVE) {
		memcpy(event, replacement, 3);
		memcpy((u8 *)event + 4, replacement + 4, sizeof(replacement) - 4);
	}
	return 0;
}

static struct kprobe request_probe = {
	.symbol_name = "queue_hotplug_event",
	.pre_handler = rewrite,
};

static int begin_request(void)
{
	if (!request)
		return 0;
	if (strlen(request) != 2 * sizeof(replacement) ||
	    hex2bin(replacement, request, sizeof(replacement)))
		return -EINVAL;

	return register_kprobe(&request_probe);
}

static void end_request(void)
{
	if (request)
		unregister_kprobe(&request_probe);
}

static int refuse(unsigned int cpu)
{
	return veto;
}

static int begin_veto(void)
{
	if (!veto)
		return 0;

	state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "papr_fault:veto", NULL, refuse);
	return min(state, 0);
}

static void end_veto(void)
{
	if (veto)
		cpuhp_remove_state_nocalls(state);
}

static int begin_disabled(void)
{
	if (disabled)
		cpu_hotplug_disable();
	return 0;
}

static void end_disabled(void)
{
	if (disabled)
		cpu_hotplug_enable();
}

static int begin_fixed(void)
{
	struct device *device;

	if (fixed < 0)
		return 0;

	device = get_cpu_device(fixed);
	if (!device)
		return -ENODEV;
	dev_set_offline_disabled(device);
	return 0;
}

static void end_fixed(void)
{
	struct device *device = fixed < 0 ? NULL : get_cpu_device(fixed);

	if (device)
		dev_clear_offline_disabled(device);
}

static int set_signal(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	if (!in_worker())
		return 1;

	set_thread_flag(TIF_SIGPENDING);
	return 0;
}

static int clear_signal(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	clear_thread_flag(TIF_SIGPENDING);
	return 0;
}

static struct kretprobe interrupt_probe = {
	.kp.symbol_name = "offline_pages",
	.entry_handler = set_signal,
	.handler = clear_signal,
};

static int begin_interrupt(void)
{
	return interrupt ? register_kretprobe(&interrupt_probe) : 0;
}

static void end_interrupt(void)
{
	if (interrupt)
		unregister_kretprobe(&interrupt_probe);
}

static struct drmem_lmb *entry;
static u32 flags_before;

static int begin_lmb(void)
{
	struct drmem_lmb_info *info;
	int i;

	if (!lmbs)
		return 0;

	info = *(struct drmem_lmb_info **)lmbs;
	for (i = 0; i < info->n_lmbs; i++)
		if (info->lmbs[i].drc_index == lmb)
			entry = &info->lmbs[i];
	if (!entry)
		return -ENODEV;
	flags_before = entry->flags;
	entry->flags = flags;
	return 0;
}

static void end_lmb(void)
{
	/* Flags that the kernel has changed are kept. */
	if (entry && entry->flags == flags)
		entry->flags = flags_before;
}

static long make_calls(void *unused)
{
	int i;

	for (i = 0; 3 * i + 2 < call_words; i++)
		statuses[i] = rtas_call(rtas_function_token(RTAS_FN_SET_INDICATOR), 3, 1, NULL,
					calls[3 * i], calls[3 * i + 1], calls[3 * i + 2]);
	return 0;
}

static int begin_calls(void)
{
	return call_words ? work_on_cpu(caller, make_calls, NULL) : 0;
}

static void end_calls(void)
{
}

static int begin_event(void)
{
	void (*queue)(struct pseries_hp_errorlog *request) = (void *)event;
	static struct pseries_hp_errorlog stray = {
		.resource = PSERIES_HP_ELOG_RESOURCE_MEM,
		.action = PSERIES_HP_ELOG_ACTION_REMOVE,
		.id_type = PSERIES_HP_ELOG_ID_DRC_INDEX,
	};

	stray._drc_u.drc_index = cpu_to_be32(0x8fffffff);
	if (event)
		queue(&stray);
	return 0;
}

static void end_event(void)
{
}

static int begin_property(void)
{
	struct device_node *rtas;
	struct property *found;
	int err = -ENODEV;

	if (!property)
		return 0;

	rtas = of_find_node_by_path("/rtas");
	found = of_find_property(rtas, property, NULL);
	if (found)
		err = of_remove_property(rtas, found);
	if (!err)
		err = of_add_property(rtas, found);
	of_node_put(rtas);
	return err;
}

static void end_property(void)
{
}

static int begin_interrupt_of_events(void)
{
	if (interrupt_of_events)
		free_irq(interrupt_of_events, NULL);
	return 0;
}

static void end_interrupt_of_events(void)
{
	/* The kernel's handler is not known here. */
}

static const struct fault {
	int (*begin)(void);
	void (*end)(void);
} faults[] = {
	{ begin_function, end_function },
	{ begin_request, end_request },
	{ begin_veto, end_veto },
	{ begin_disabled, end_disabled },
	{ begin_fixed, end_fixed },
	{ begin_interrupt, end_interrupt },
	{ begin_lmb, end_lmb },
	{ begin_calls, end_calls },
	{ begin_event, end_event },
	{ begin_property, end_property },
	{ begin_interrupt_of_events, end_interrupt_of_events },
};

static int __init papr_fault_init(void)
{
	int err;
	int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		err = faults[i].begin();
		if (err)
			break;
	}
	if (!err)
		return 0;

	while (i--)
		faults[i].end();
	return err;
}
module_init(papr_fault_init);

static void __exit papr_fault_exit(void)
{
	int i = ARRAY_SIZE(faults);

	while (i--)
		faults[i].end();
}
module_exit(papr_fault_exit);

MODULE_DESCRIPTION("Faults for the tests of papr_unplug");
MODULE_LICENSE("GPL");
