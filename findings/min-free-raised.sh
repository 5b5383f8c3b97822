#!/bin/bash
# Debian's linux 6.1.176, 1 GiB: /proc/sys/vm/min_free_kbytes is 45056 though nobody set it, because huge pages are on; with
# transparent_hugepage=never it is 3961.  A smaller value that is written holds until huge pages are turned off and on again.
# Seen: never: under 5000; else 45056 after boot, 4000 as written, 45056 after never and always
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/guest.sh && . lib/expect.sh || exit 2
cat > "$work/script" <<'END'
file=/proc/sys/vm/min_free_kbytes; huge=/sys/kernel/mm/transparent_hugepage/enabled
boot=$(cat $file); echo 4000 > $file; written=$(cat $file)
echo never > $huge; echo always > $huge; sleep 1
echo "$boot after boot, $written as written, $(cat $file) after never and always"
END
cat > "$work/plain" <<'END'
[ $(cat /proc/sys/vm/min_free_kbytes) -lt 5000 ] && echo "under 5000 without huge pages" || cat /proc/sys/vm/min_free_kbytes
END
with=$(guest $OLD < "$work/script") && without=$(APPEND=transparent_hugepage=never guest $OLD < "$work/plain") || exit 2
expect "$with; $without" "45056 after boot, 4000 as written, 45056 after never and always; under 5000 without huge pages"
