# Compare what was seen with what this finding says.  Sourced: expect SEEN SAID.
expect() {
	printf '%s\n' "$1"
	[ "$1" = "$2" ] && { echo "as described"; return 0; }
	printf 'no longer so; it was:\n%s\n' "$2"
	return 1
}
