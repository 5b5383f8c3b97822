#!/bin/bash
# Debian's linux-perf 6.1.176 on its linux 6.1.176: the text of `perf script` has no line where events were lost; only
# stderr warns, with a share of all and a number of "chunks".  When they were lost and how many, --show-lost-events says,
# one line a chunk.  And page= is the number of pfn=, where the kernel prints a pointer.  Needs what linux-perf depends on.
# Seen: lost: 0 lines, asked for as many as chunks (669 in one run); page= is pfn= in every mm_page_alloc
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/guest.sh && . lib/expect.sh && unpack linux-perf=6.1.176-1 || exit 2
cat > "$work/script" <<'END'
cd /tmp
perf record -q -m 1 -a -e 'kmem:*' -- ls -R /sys > /dev/null 2> log
perf script > plain 2> warned && perf script --show-lost-events > asked 2> log
chunks=$(sed -n 's/.* lost \([0-9]*\) chunks.*/\1/p' warned); lines=$(grep -c 'PERF_RECORD_LOST lost [1-9]' asked)
echo "lost: $(grep -c LOST plain) lines, asked for $([ "$lines" -gt 0 ] && [ "$lines" = "$chunks" ] && echo as many as chunks || echo "$lines of $chunks")"
allocations=$(grep -c mm_page_alloc: plain); same=$(grep -c 'mm_page_alloc: page=\(0x[0-9a-f]*\) pfn=\1 ' plain)
echo "page= is pfn=: $([ "$same" -gt 0 ] && [ "$same" = "$allocations" ] && echo always || echo "$same of $allocations")"
END
seen=$(guest $OLD "$work/linux-perf/usr/bin/perf" < "$work/script") || exit 2
expect "$seen" "lost: 0 lines, asked for as many as chunks
page= is pfn=: always"
