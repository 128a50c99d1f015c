#!/usr/bin/env bash
# What `./dev demo` shows: an image from a registry runs in its own machine, from the shell and from Python. Each
# command is printed as it is typed. Everything lives in one temporary directory, and is gone at the end.
set -eu
checkout=$(dirname "$(dirname "$(readlink -f "$0")")")
export PATH="$checkout/.venv/bin:$PATH"

place=$(mktemp -d /tmp/firkin-demo.XXXX)
export XDG_DATA_HOME=$place/data XDG_RUNTIME_DIR=$place/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
cd "$place"

tell() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
try() { printf '\033[32m$\033[0m %s\n' "$*"; eval "$*"; }

leave() {
  firkin ps -aq 2>/dev/null | xargs -r firkin rm -f >/dev/null 2>&1 || true
  [ -z "${registry_PID:-}" ] || { kill "$registry_PID"; wait "$registry_PID" 2>/dev/null || true; }
  rm -rf "$place"
}
trap leave EXIT

tell "A registry on this machine, with a Debian made from Debian's own packages (the first time takes half a minute)"
coproc registry { PYTHONPATH=$checkout exec python -m tests.support.serve "$place/registry" debian; }
read -r address <&"${registry[0]}"
echo "registry at $address"

tell "Pull it: every byte is checked against its digest"
try firkin pull "$address/debian"
try firkin tag "$address/debian" debian
try firkin images

tell "Run a command in it, in a machine with a kernel of its own, gone when the command ends"
try "firkin run --rm debian sh -c 'head -1 /etc/os-release; uname -r; id'"
try "printf 'three\none\ntwo\n' | firkin run --rm -i debian sort"
try "firkin run --rm debian sh -c 'exit 7' || echo \"exit status \$?\""

tell "Where the time goes"
try firkin run --rm --timing debian true

tell "Leave one running, look inside, end it"
try "firkin run -d --name counter debian sh -c 'n=0; while sleep 0.5; do n=\$((n+1)); echo tick \$n; done'"
try firkin ps
try firkin exec counter cat /proc/1/comm
try firkin top counter
try "firkin logs -f counter | head -3"
try firkin rm -f counter

tell "The same from Python"
try cat "$checkout/examples/hello.py"
try python "$checkout/examples/hello.py"

tell "That was all: the container, its machine, the image and the registry are removed now"
