# Boot a pinned Debian kernel in QEMU (TCG) with a busybox and run a script in it.  Sourced; needs apt, qemu-system-x86_64.
# guest PACKAGE=VERSION < SCRIPT   prints what the script prints.  About a minute and a half on two slow cores.
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
BUSYBOX=busybox-static=1:1.35.0-4+deb12u1+b1

unpack() {
	(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$1" && dpkg-deb -x "${1%%=*}"_*.deb "root-${1%%=*}")
}

guest() {
	local initrd="$work/initrd-$RANDOM"
	mkdir -p "$initrd/bin" "$initrd/proc" "$initrd/sys"
	cat > "$initrd/guest.sh"
	[ -d "$work/root-busybox-static" ] || unpack "$BUSYBOX" || return
	[ -d "$work/root-${1%%=*}" ] || unpack "$1" || return
	cp "$work/root-busybox-static/bin/busybox" "$initrd/bin/"
	cat > "$initrd/init" <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t proc p /proc && mount -t sysfs s /sys && mount -t tracefs t /sys/kernel/tracing
		echo 1 > /proc/sys/kernel/printk
		cd /sys/kernel/tracing
		echo; echo BEGIN; sh /guest.sh; echo END
		poweroff -f
	END
	chmod +x "$initrd/init"
	(cd "$initrd" && find . | bin/busybox cpio -o -H newc 2> /dev/null | gzip -1) > "$work/initrd.gz"
	timeout 600 qemu-system-x86_64 -accel tcg -cpu Nehalem -smp 2 -m 1024 -nographic -no-reboot \
		-kernel "$work/root-${1%%=*}"/boot/vmlinuz-* -initrd "$work/initrd.gz" \
		-append "console=ttyS0 quiet panic=-1" < /dev/null | tr -d '\r' | sed -n '/^BEGIN$/,/^END$/p' | sed '1d;$d'
}

OLD=linux-image-6.1.0-50-cloud-amd64=6.1.176-1
NEW=linux-image-6.12.100+deb12-cloud-amd64=6.12.100-1~deb12u1
