/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names that older kernels lack or spell differently. Distributions backport some of them, so
 * Kbuild looks for them in the headers instead of comparing versions.
 */
#ifndef PAPR_UNPLUG_OLDER_H
#define PAPR_UNPLUG_OLDER_H

#include <linux/kprobes.h>
#include <linux/preempt.h>
#include <linux/uaccess.h>
#include <linux/version.h>

/*
 * Up to 4.19 the kernel gives its worker the removals of the guest's administrator as well, with
 * queue_hotplug_event(), and nothing tells them from those of the hypervisor. No header shows
 * which way a kernel goes. RHEL's 4.18 has the code of 4.20; 8.3 to 8.8 were looked at.
 */
#ifdef RHEL_RELEASE_CODE
#define PAPR_TOO_OLD (RHEL_RELEASE_CODE < RHEL_RELEASE_VERSION(8, 3))
#else
#define PAPR_TOO_OLD (LINUX_VERSION_CODE < KERNEL_VERSION(4, 20, 0))
#endif

/* Since 5.1. */
#ifndef static_assert
#define static_assert(condition) _Static_assert(condition, #condition)
#endif

/* Since 5.8. RHEL 8 has the first one alone, as a macro. */
#ifndef PAPR_HAS_COPY_FROM_USER_NOFAULT
#ifndef copy_from_kernel_nofault
#define copy_from_kernel_nofault probe_kernel_read
#endif
#define copy_from_user_nofault probe_user_read
#define copy_to_user_nofault probe_user_write
#endif

/* Since 5.11. */
#ifndef in_hardirq
#define in_hardirq() in_irq()
#endif

/* Since 5.11. Before that, an instance does not outlive its probe. */
#if defined(CONFIG_KRETPROBES) && !defined(PAPR_HAS_GET_KRETPROBE)
static inline struct kretprobe *get_kretprobe(struct kretprobe_instance *instance)
{
	return instance->rp;
}
#endif

/* Since 5.18. */
#ifndef PAPR_HAS_HK_TYPE_DOMAIN
#define HK_TYPE_DOMAIN HK_FLAG_DOMAIN
#endif

#endif
