// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Opens a PCI function through VFIO, prints `held`, and has it open until it is killed.
 *
 *	hold-vfio GROUP ADDRESS
 *
 * Built with the kernel's own nolibc.
 */
#include <linux/vfio.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/ioctl.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	int container;
	int group;

	if (argc != 3) {
		printf("usage: hold-vfio GROUP ADDRESS\n");
		return 2;
	}
	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		return fail("/dev/vfio/vfio");
	group = open(argv[1], O_RDWR);
	if (group < 0)
		return fail(argv[1]);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return fail("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU))
		return fail("VFIO_SET_IOMMU");
	if (ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]) < 0)
		return fail(argv[2]);
	printf("held\n");
	fflush(stdout);
	for (;;)
		poll(NULL, 0, -1);
}
