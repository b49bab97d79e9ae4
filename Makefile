# SPDX-License-Identifier: GPL-2.0-only
#
# For those who type `make`: it is Kbuild that builds the module. KDIR names another kernel's build directory; to build for
# another machine, say ARCH=powerpc CROSS_COMPILE=powerpc64le-linux-gnu- as for the kernel itself.

KDIR ?= /lib/modules/$(shell uname -r)/build

modules modules_install clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

.PHONY: modules modules_install clean
