# An environment with pinned packages in $work, a folder of the caller.  Sourced; needs python3 of 3.11 or later with venv, and pip's registry.
# packages NAME==VERSION...; then python is "$python".  What the caller's environment sets for them does not count.
unset "${!PYTHON@}" "${!PYTEST@}" "${!NUMBA@}" "${!JUPYTER@}"
packages() {
	python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q --no-input --disable-pip-version-check "$@" 2> "$work/log" ||
		{ cat "$work/log" >&2; return 2; }
	python=$work/venv/bin/python
}
