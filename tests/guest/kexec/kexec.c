// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * kexec for test guests: starts another kernel without a reset.
 *
 *	kexec [-p] KERNEL INITRAMFS COMMAND_LINE	loads a kernel; with -p, as crash kernel
 *	kexec -e					starts the kernel that was loaded without -p
 *
 * A guest without a distribution needs no more of kexec-tools. Built with the kernel's own nolibc.
 */
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/reboot.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long flags = 0;
	int initramfs;
	int kernel;

	if (argc == 2 && !strcmp(argv[1], "-e")) {
		reboot(LINUX_REBOOT_CMD_KEXEC);
		return fail("kexec -e");
	}
	if (argc == 5 && !strcmp(argv[1], "-p")) {
		flags = KEXEC_FILE_ON_CRASH;
		argv++;
		argc--;
	}
	if (argc != 4) {
		printf("usage: kexec [-p] KERNEL INITRAMFS COMMAND_LINE, or kexec -e\n");
		return 2;
	}

	kernel = open(argv[1], O_RDONLY);
	if (kernel < 0)
		return fail(argv[1]);
	initramfs = open(argv[2], O_RDONLY);
	if (initramfs < 0)
		return fail(argv[2]);
	if (syscall(__NR_kexec_file_load, kernel, initramfs, strlen(argv[3]) + 1, argv[3], flags))
		return fail("kexec_file_load");
	return 0;
}
