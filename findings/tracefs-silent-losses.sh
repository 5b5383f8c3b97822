#!/bin/bash
# Debian's linux 6.12.100: a full ring buffer loses events and the file `trace` has no "LOST n EVENTS" line.  With overwrite
# 1 its header tells (written is more than in the buffer), and trace_pipe has the line.  With overwrite 0 neither does:
# the header counts the dropped ones as never written, and only per_cpu/cpu*/stats knows them.
# Seen: overwrite 0: in the buffer = written, over 1000 dropped, no LOST line in either; 1: <, 0, only in trace_pipe
cd "$(dirname "$0")" && . lib/guest.sh && . lib/expect.sh || exit 2
cat > "$work/script" <<'END'
echo 8 > buffer_size_kb
for overwrite in 0 1; do
	echo $overwrite > options/overwrite; echo > trace
	echo 1 > events/kmem/enable; ls -R /sys > /dev/null; echo 0 > events/kmem/enable
	set -- $(sed -n 's,.*entries-written: \([0-9]*\)/\([0-9]*\).*,\1 \2,p' trace)
	dropped=0; for n in $(sed -n 's/dropped events: //p' per_cpu/cpu*/stats); do dropped=$((dropped + n)); done
	lost=$(grep -c LOST trace); (timeout 5 cat trace_pipe; true) 2> /dev/null | grep LOST > /tmp/pipe
	echo "overwrite $overwrite: in the buffer $([ $1 -lt $2 ] && echo '<' || echo '=') written," \
		"dropped $([ $dropped -gt 1000 ] && echo 'over 1000' || echo $dropped)," \
		"LOST in trace $lost, in trace_pipe $([ -s /tmp/pipe ] && echo yes || echo no)"
done
END
seen=$(guest $NEW < "$work/script") || exit 2
expect "$seen" "overwrite 0: in the buffer = written, dropped over 1000, LOST in trace 0, in trace_pipe no
overwrite 1: in the buffer < written, dropped 0, LOST in trace 0, in trace_pipe yes"
