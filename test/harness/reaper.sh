#!/bin/sh
# Outlives the process that holds its standard input, and then kills every process named there and removes every directory:
# however a test or the demo ends, even by SIGKILL, nothing stays behind. Lines: "process PID", "gone PID", "directory PATH",
# and "keep", after which the end of input is ignored and SIGTERM means: stop everything.
set -u
processes=' '
directories=
keep=

reap() {
  for pid in $processes; do kill -KILL "$pid" 2>/dev/null; done
  printf '%s' "$directories" | while IFS= read -r directory; do
    # A process that was just killed may still be writing.
    rm -rf "$directory" 2>/dev/null || { sleep 1; rm -rf "$directory"; }
  done
  exit 0
}

trap reap TERM
trap '' INT HUP

while IFS=' ' read -r verb argument; do
  case $verb in
    process) processes="$processes$argument " ;;
    # Forgotten as soon as it is gone: its number may soon be another's.
    gone) processes=$(printf '%s' "$processes" | sed "s/ $argument / /") ;;
    directory) directories="$directories$argument
" ;;
    keep) keep=yes ;;
  esac
done

[ -n "$keep" ] || reap
while :; do
  sleep 86400 &
  wait $! # unlike a sleep in the foreground, it lets the trap run at once
done
