#!/bin/bash
# Debian's linux 6.12.100: a full ring buffer loses events and the file `trace` has no "LOST n EVENTS" line.  With overwrite
# 1 its header tells (written is more than in the buffer).  With overwrite 0 the header counts the dropped ones as never
# written, and only per_cpu/cpu*/stats knows them.
# Seen: overwrite 0: in the buffer = written, dropped over 1000, LOST lines 0; overwrite 1: <, dropped 0, LOST lines 0
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/guest.sh && . lib/expect.sh || exit 2
cat > "$work/script" <<'END'
echo 8 > buffer_size_kb
for overwrite in 0 1; do
	echo $overwrite > options/overwrite; echo > trace
	echo 1 > events/kmem/enable; ls -R /sys > /dev/null; echo 0 > events/kmem/enable
	set -- $(sed -n 's,.*entries-written: \([0-9]*\)/\([0-9]*\).*,\1 \2,p' trace)
	dropped=0; for n in $(sed -n 's/dropped events: //p' per_cpu/cpu*/stats); do dropped=$((dropped + n)); done
	echo "overwrite $overwrite: in the buffer $([ $1 -lt $2 ] && echo '<' || echo '=') written," \
		"dropped $([ $dropped -gt 1000 ] && echo 'over 1000' || echo $dropped), LOST lines $(grep -c LOST trace)"
done
END
seen=$(guest $NEW < "$work/script") || exit 2
expect "$seen" "overwrite 0: in the buffer = written, dropped over 1000, LOST lines 0
overwrite 1: in the buffer < written, dropped 0, LOST lines 0"
