# Boot a pinned Debian kernel in QEMU (TCG) with a busybox in $work, a folder of the caller, and run a script.  Sourced; needs Debian 12 or another
# apt that knows its packages and security updates, and qemu-system-x86_64; not root.  A guest takes up to some minutes.
# guest PACKAGE=VERSION [PROGRAM...] < SCRIPT   prints what the script prints; 2 if it does not come to its end.
# APPEND is put at the end of the command line of the kernel.
OLD=linux-image-6.1.0-50-cloud-amd64=6.1.176-1
NEW=linux-image-6.12.100+deb12-cloud-amd64=6.12.100-1~deb12u1
BUSYBOX=busybox-static=1:1.35.0-4+deb12u1+b1
APPEND=

# Put the files of PACKAGE=VERSION into $work/PACKAGE, once.
unpack() {
	[ -d "$work/${1%%=*}" ] || (cd "$work" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" "$1" > /dev/null &&
		dpkg-deb -x "${1%%=*}"_*.deb "${1%%=*}") || return 2
}

guest() {
	local kernel=$1 initrd program
	shift
	unpack "$BUSYBOX" && unpack "$kernel" && initrd=$(mktemp -d "$work/initrd-XXXX") || return 2
	mkdir "$initrd/bin" "$initrd/proc" "$initrd/sys" "$initrd/dev" "$initrd/tmp"
	cat > "$initrd/guest.sh"
	cp "$work/busybox-static/bin/busybox" "$initrd/bin/"
	for program; do
		ldd "$program" | grep 'not found' >&2 && return 2
		cp "$program" "$initrd/bin/" && ldd "$program" | grep -o '/lib[^ ]*' | xargs -I@ cp -L --parents @ "$initrd" || return 2
	done
	cat > "$initrd/init" <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t devtmpfs d /dev && mount -t proc p /proc && mount -t sysfs s /sys &&
			mount -t tracefs t /sys/kernel/tracing
		echo 1 > /proc/sys/kernel/printk
		cd /sys/kernel/tracing
		echo; echo BEGIN; sh /guest.sh; echo END
		poweroff -f
	END
	chmod +x "$initrd/init"
	(cd "$initrd" && find . | bin/busybox cpio -o -H newc 2> /dev/null | gzip -1) > "$initrd.gz"
	timeout --foreground 600 qemu-system-x86_64 -accel tcg -smp 2 -m 1024 -nic none -nographic -no-reboot \
		-kernel "$work/${kernel%%=*}"/boot/vmlinuz-* -initrd "$initrd.gz" \
		-append "console=ttyS0 quiet panic=-1 $APPEND" < /dev/null 2> "$work/qemu.log" | tr -d '\r' > "$work/console"
	grep -qx END "$work/console" || { cat "$work/qemu.log" "$work/console" >&2; return 2; }
	sed '1,/^BEGIN$/d;/^END$/,$d' "$work/console"
}
