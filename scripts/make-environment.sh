#!/bin/sh
# Make a virtual environment with pip: make-environment.sh FOLDER PYTHON. Says what is missing where it cannot.
set -eu
folder=$1
wanted=$2

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
if "$folder/bin/python" -c "$new_enough" >/dev/null 2>&1 && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0 # one is there and works: keep it
fi
python=
for candidate in "$wanted" python3.13 python3.12 python3.11 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$new_enough" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Penstock needs Python 3.11 or newer, and neither $wanted nor python3.11 to python3.14 is that." >&2
    echo "Install one, or name it:  make test PYTHON=/path/to/python3" >&2
    exit 1
fi

if "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    "$python" -m venv --clear "$folder"
elif "$python" -m virtualenv --version >/dev/null 2>&1; then
    "$python" -m virtualenv --quiet --clear "$folder"
elif command -v uv >/dev/null 2>&1; then
    uv venv --quiet --seed --clear --python "$python" "$folder"
elif "$python" -c 'import venv' >/dev/null 2>&1 && "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear --without-pip "$folder"
    "$python" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check pip
else
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$python has no ensurepip, so it cannot make a virtual environment (Debian and Ubuntu package it apart)." >&2
    echo "Install it:  sudo apt install python$version-venv    (or python3-venv), then run make again." >&2
    exit 1
fi
