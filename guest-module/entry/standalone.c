// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entry points of the standalone build: what the kernel crate's module! does in the other build.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/seq_file.h>

#include "../shim.h"

/* Functions of the Rust object. */
int papr_load(void);
void papr_unload(void);

/* Functions for the Rust object. */
void __noreturn papr_bug(void);
/* The module's directory in debugfs. */
void papr_directory_create(const char *name);
/* Creates a file there; each reader is given what @show writes. */
void papr_file_create(const char *name, void (*show)(struct seq_file *to));
void papr_text_write(struct seq_file *to, const char *text, size_t length);
/* Removes the directory. When this returns, no file is being read. */
void papr_directory_remove(void);

/* Writes a line, without its newline, to the kernel log at a level such as KERN_ERR. */
void papr_log(const char *level, const char *line, size_t length);

static const char caution[] __initconst = PAPR_CAUTION;

static int __init standalone_init(void)
{
	int err = papr_load();

	if (!err && PAPR_KPROBES_UNSAFE)
		pr_notice("%s\n", caution);
	return err;
}
module_init(standalone_init);

static void __exit standalone_exit(void)
{
	papr_unload();
}
module_exit(standalone_exit);

void __noreturn papr_bug(void)
{
	BUG();
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

MODULE_AUTHOR("The papr-unplug authors");
MODULE_DESCRIPTION("Tells the hypervisor of a pseries guest the outcome of each removal");
MODULE_LICENSE("GPL");
