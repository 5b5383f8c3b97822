#!/bin/bash
# Debian's linux 6.12.100: a full ring buffer loses events and the file `trace` has no line that says so.  With overwrite 0
# even its header counts the dropped ones as never written; only per_cpu/cpu*/stats knows them.  With overwrite 1 the
# header alone tells (written is more than in the buffer); a "LOST n EVENTS" line, as trace_pipe prints, is not there.
# Seen: overwrite 0: header in = written, thousands dropped, 0 LOST lines; overwrite 1: in < written, 0 LOST lines
cd "$(dirname "$0")" && . lib/guest.sh && . lib/expect.sh || exit 2
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
expect "$(guest $NEW < "$work/script")" "overwrite 0: in the buffer = written, dropped over 1000, LOST lines 0
overwrite 1: in the buffer < written, dropped 0, LOST lines 0"
