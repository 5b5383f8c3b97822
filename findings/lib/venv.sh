# A throw-away environment with pinned packages.  Sourced: packages NAME==VERSION...; then python is "$python".
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
packages() {
	python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q --no-input --disable-pip-version-check "$@" 2> "$work/pip.log" ||
		{ cat "$work/pip.log" >&2; return 2; }
	python=$work/venv/bin/python
}
