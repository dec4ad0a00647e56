#!/bin/sh
# Make a virtual environment and install into it: tools/venv.sh FOLDER PYTHON REQUIREMENT…
# uv does the work where it is on the PATH or can be had from the package index, pip where it can't.
set -eu
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"  # the machine's own, as pip and git have them

folder=$1 python=$2
shift 2
started=$(date +%s)

if command -v uv >/dev/null 2>&1; then
    uv=uv
    echo "making $folder with uv"
    uv venv --quiet --allow-existing --python "${python:-3.12}" "$folder"
elif [ -z "$python" ]; then
    echo "expected a Python from 3.11 to 3.13 on the PATH (or uv, which fetches one) and found none." >&2
    echo "Install one, or name it: make … PYTHON=/path/to/python3.12" >&2
    exit 1
else
    echo "making $folder with $($python --version)"
    if ! "$python" -m venv "$folder"; then
        echo "$python can't make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
    uv=$folder/bin/uv
    [ -x "$uv" ] || "$folder/bin/python" -m pip install --quiet --disable-pip-version-check uv || uv=
fi

echo "installing into $folder (once)"
if [ -n "$uv" ]; then
    # compiled now, so that Airflow's many processes need not do it when they start
    "$uv" pip install --quiet --compile-bytecode --python "$folder/bin/python" "$@"
else
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
fi
touch "$folder/.ready"
echo "$folder is ready after $(($(date +%s) - started)) s"
