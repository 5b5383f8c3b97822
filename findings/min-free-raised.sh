#!/bin/bash
# Debian's linux 6.1.176, 1 GiB: /proc/sys/vm/min_free_kbytes is 45056 though nobody set it, as huge pages are on; writing
# the boot's own value (about 3966) works, and turning huge pages off and on again raises it once more.
# Seen: 45056 after boot, 3966 as written, 45056 after never and always
cd "$(dirname "$0")" && . lib/guest.sh && . lib/expect.sh || exit 2
cat > "$work/script" <<'END'
file=/proc/sys/vm/min_free_kbytes; huge=/sys/kernel/mm/transparent_hugepage/enabled
boot=$(cat $file); echo 3966 > $file; written=$(cat $file)
echo never > $huge; echo always > $huge; sleep 1
echo "$boot after boot, $written as written, $(cat $file) after never and always"
END
expect "$(guest $OLD < "$work/script")" "45056 after boot, 3966 as written, 45056 after never and always"
