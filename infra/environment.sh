#!/bin/sh
# The environment of a checkout: sh infra/environment.sh PYTHON FOLDER
# uv is ten times quicker where it is present; pip alone suffices, and says how far it is.
set -eu
python=$1 folder=$2
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "Headgate needs Python 3.11 or newer: make PYTHON=python3.12 …" >&2; exit 2; }
total=$(grep -c '^[A-Za-z0-9]' requirements.lock)

if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
  echo "Installing $total packages into $folder with uv: about 3 GB, a minute or so …" >&2
  uv venv --allow-existing --quiet --python "$("$python" -c 'import sys; print(sys.executable)')" "$folder"
  uv pip install --quiet --compile-bytecode --python "$folder/bin/python" -r requirements.lock
  uv pip install --quiet --python "$folder/bin/python" --no-deps -e .
  exit
fi

echo "Installing $total packages into $folder with pip: about 3 GB, some five minutes (uv takes one) …" >&2
"$python" -m venv "$folder"
log=$folder/install.log
# What is imported is compiled then; compiling all of it takes a minute.
"$folder/bin/python" -m pip install --no-compile --progress-bar off -r requirements.lock >"$log" 2>&1 &
pip=$!
trap 'kill "$pip" 2>/dev/null; exit 130' INT TERM
told=""
while :; do
  going=$(kill -0 "$pip" 2>/dev/null && echo yes || true)
  if grep -q '^Installing collected' "$log"; then
    count=$(find "$folder"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l)
    words="  unpacked $((count < total ? count : total)) of $total" # pip itself is one of them
  else
    count=$(grep -Ec '^(Collecting|Processing) ' "$log" || true)
    words="  fetched $count of $total"
  fi
  if [ -t 2 ]; then
    printf '\r%s   ' "$words" >&2
  else # a log: a line for every tenth part or so
    step="${words%% [0-9]*} $((count * 10 / total))"
    [ "$step" = "$told" ] || echo "$words" >&2
    told=$step
  fi
  [ -n "$going" ] || break
  sleep 1
done
[ -t 2 ] && echo >&2
wait "$pip" || { grep '^ERROR' "$log" >&2; echo "pip did not install all: $log has the whole story." >&2; exit 1; }
"$folder/bin/python" -m pip install --quiet --no-deps -e .
