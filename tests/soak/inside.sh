# In the guest, as root: a line every five seconds about the agent, as record.py reads it. Runs nothing, so that it
# costs an emulated processor next to nothing: all of it is bash itself.
# Its agent is the zygote's grandchild with the zygote's own name (nest.py).
# shellcheck shell=bash
out=$1
# Once, however often it is asked for.
set -o noclobber
: > "$out" || exit
zygote=$(systemctl show -p MainPID --value fenster-agent.service)
read -r name < "/proc/$zygote/comm"
exec {never}<> <(:)

find_agent() {
  local nest pid comm children=() grandchildren=()
  agent=
  read -r -a children < "/proc/$zygote/task/$zygote/children" || true
  for nest in "${children[@]}"; do
    read -r comm < "/proc/$nest/comm" && [ "$comm" = "$name" ] || continue
    read -r -a grandchildren < "/proc/$nest/task/$nest/children" || true
    for pid in "${grandchildren[@]}"; do
      read -r comm < "/proc/$pid/comm" && [ "$comm" = "$name" ] && agent=$pid
    done
  done
}

while :; do
  find_agent
  if [ -n "$agent" ]; then
    rss=0 pss=0
    while read -r key value _; do
      case $key in Rss:) rss=$value ;; Pss:) pss=$value ;; esac
    done < "/proc/$agent/smaps_rollup"
    fds=("/proc/$agent/fd/"*) threads=("/proc/$agent/task/"*)
    echo "$EPOCHREALTIME $agent $rss $pss ${#fds[@]} ${#threads[@]}" >> "$out"
  fi
  read -r -t 5 -u "$never" || true
done
