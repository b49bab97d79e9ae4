// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module as a kernel without CONFIG_RUST sees it: what the kernel crate's module! does for other kernels.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/module.h>

#include "../shim.h"

/* The Rust object's, and for it. */
int papr_load(void);
void papr_unload(void);
void __noreturn papr_bug(void);

static const char caution[] __initconst = PAPR_CAUTION;

static int __init freestanding_init(void)
{
	int err = papr_load();

	if (!err && papr_wants_caution())
		pr_notice("%s\n", caution);
	return err;
}
module_init(freestanding_init);

static void __exit freestanding_exit(void)
{
	papr_unload();
}
module_exit(freestanding_exit);

void __noreturn papr_bug(void)
{
	BUG();
}

MODULE_AUTHOR("The papr-unplug authors");
MODULE_DESCRIPTION("Tells the hypervisor of a pseries guest what became of each removal, and why the guest refuses one");
MODULE_LICENSE("GPL");
