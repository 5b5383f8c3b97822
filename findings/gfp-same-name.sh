#!/bin/bash
# Debian's linux 6.1.176 and 6.12.100: events/kmem/mm_page_alloc/format gives GFP_NOWAIT and GFP_ATOMIC other numbers, so
# that the text of a trace does not say which flags a request had unless its kernel is known.
# Seen: 6.1 GFP_ATOMIC 0xa20 GFP_NOWAIT 0x800; 6.12 GFP_ATOMIC 0x820 GFP_NOWAIT 0x2800
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/guest.sh && . lib/expect.sh || exit 2
echo 'cat events/kmem/mm_page_alloc/format' > "$work/script"
numbers() {
	guest "$1" < "$work/script" > "$work/format" && python3 - "$work/format" <<-'END'
		import re, sys

		table = open(sys.argv[1]).read()
		for name in ("GFP_ATOMIC", "GFP_NOWAIT"):
		    [sum_of_flags] = re.findall(r'\{([^{}]*), "%s"\}' % name, table)
		    flags = re.findall(r"(0x[0-9a-f]+)u|<< \((\d+)\)", sum_of_flags)
		    print(name, hex(sum({int(number, 16) if number else 1 << int(bit) for number, bit in flags})), end=" ")
	END
}
old=$(numbers $OLD) && new=$(numbers $NEW) || exit 2
expect "6.1 ${old% }; 6.12 ${new% }" "6.1 GFP_ATOMIC 0xa20 GFP_NOWAIT 0x800; 6.12 GFP_ATOMIC 0x820 GFP_NOWAIT 0x2800"
