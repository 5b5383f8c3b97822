#!/bin/bash
# Debian's linux 6.1.176: `echo 0 > options/hash-ptr`, which shows real pointers in page=, also empties gfp_flags= of every
# mm_page_alloc.  6.12.100 prints both.
# Seen: 6.1 hash-ptr 1: no empty, hash-ptr 0: all empty; 6.12 no empty, no empty
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/guest.sh && . lib/expect.sh || exit 2
cat > "$work/script" <<'END'
for hashed in 1 0; do
	echo $hashed > options/hash-ptr; echo > trace
	echo 1 > events/kmem/mm_page_alloc/enable; ls -R /sys/class > /dev/null; echo 0 > events/kmem/mm_page_alloc/enable
	empty=$(grep -c 'mm_page_alloc: page=.*gfp_flags=$' trace); all=$(grep -c 'mm_page_alloc: page=' trace)
	case $empty in 0) word=no;; $all) word=all;; *) word="$empty of $all";; esac
	echo "hash-ptr $hashed: $word empty"
done
END
old=$(guest $OLD < "$work/script") && new=$(guest $NEW < "$work/script") || exit 2
expect "$(printf '6.1:\n%s\n6.12:\n%s' "$old" "$new")" "6.1:
hash-ptr 1: no empty
hash-ptr 0: all empty
6.12:
hash-ptr 1: no empty
hash-ptr 0: no empty"
