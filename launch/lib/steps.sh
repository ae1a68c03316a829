# shellcheck shell=bash disable=SC2154
# Shared by experiments: steps that run once, over any number of starts. Source it after setup.sh, and change into the
# experiment's folder.
#
# A step has a row of the experiment's table, a seed and a name. The function step_NAME does it, told row and seed; what it
# needs are the lines of `needs ROW SEED NAME`, and what those find of it is `output_of ROW SEED NAME`. It is done when its
# result is there, results/ROW.SEED.NAME.json, one line made of the last line of the file $answer. What it says is in logs/.

stopping='' interrupted='' job='' timer='' answer='' version='' placement=()

# The peco on the PATH, or the one built here, which is built unless it is as new as its sources; results keep which.
ensure_peco() {
  if command -v peco >/dev/null; then
    version="$(peco --version), $(command -v peco)"
    return
  fi
  (
    cd "$project" || exit
    ensure_dependencies
    build_release
  )
  PATH=$project/.build/release:$PATH
  version=$(git -C "$project" describe --always --dirty 2>/dev/null || peco --version)
}

# expect_settings SETTING...: refuses a folder that was begun with others.
expect_settings() {
  [[ ! -e settings.txt || $(<settings.txt) == "$(printf '%s\n' "$@")" ]] ||
    die "$PWD was begun with other settings; give those, or another folder. It was begun with:
$(<settings.txt)"
}

keep_settings() { printf '%s\n' "$@" >settings.txt; }

# begin_experiment SETTING...: takes the folder for these settings, and waits for what a start that was killed has left
# running: two would write into the same runs.
begin_experiment() {
  expect_settings "$@"
  mkdir -p results logs
  keep_settings "$@"
  trap stop INT TERM USR1
  trap end_timer EXIT
  command -v flock >/dev/null || return 0
  exec 9>.lock
  local code=0
  # 1: another has it; or, where flock tells no more, anything.
  flock -n 9 2>/dev/null || code=$?
  ((code != 0)) || return 0
  if ((code != 1)); then
    say "the file system of $PWD has no locks: see to it that no other start works here"
    return
  fi
  say "waiting for what an earlier start has left running"
  attend flock 9 || leave_if_stopping
}

# Asks the command at hand to leave.
stop() {
  stopping=1 interrupted=1
  [[ -z $job ]] || kill -TERM "$job" 2>/dev/null || true
}

# The process that started this one; slim systems have no ps, others no /proc.
parent_of() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || ps -o ppid= -p "$1"; }

# stop_after_minutes N: stops after so long; never where N is empty.
stop_after_minutes() {
  [[ -n $1 ]] || return 0
  (
    local self=$BASHPID  # within $(...) it is another's
    sleep $(($1 * 60)) &
    trap 'kill $!; exit' TERM
    wait $!
    # Unless it is gone, and its number another's.
    [[ $(parent_of "$self") -ne $$ ]] || kill -USR1 $$
  ) &
  timer=$!
}
end_timer() { [[ -z $timer ]] || kill "$timer" 2>/dev/null || true; }

leave_if_stopping() {
  [[ -n $stopping ]] || return 0
  say "stopped; the same command goes on"
  exit 75
}

# attend COMMAND...: runs it so that signals are heard meanwhile, and returns its code.
attend() {
  [[ -z $stopping ]] || return 75
  local code
  "$@" &
  job=$!
  while :; do
    interrupted='' code=0
    wait "$job" || code=$?
    [[ -n $interrupted ]] || break
  done
  job=''
  return "$code"
}

# on_ranks ARGUMENT...: peco under mpirun.
on_ranks() { attend "$project/launch/mpirun" ${placement[@]+"${placement[@]}"} -- peco "$@" >"$answer"; }

# take_results FILE: has steps done of which FILE has the results, lines of JSON, unless they have begun here.
take_results() {
  local line row seed step number=0
  mkdir -p results
  while IFS= read -r line; do
    number=$((number + 1))
    read -r row seed step < <(
      sed -En 's/^\{"row": "([a-z0-9-]+)", "seed": ([0-9]+), "step": "([a-z0-9-]+)".*\}$/\1 \2 \3/p' <<<"$line"
    ) || die "$1:$number is not the result of a step"
    is_done "$row" "$seed" "$step" || is_there "$row" "$seed" "$step" ||
      printf '%s\n' "$line" >"results/$row.$seed.$step.json"
  done <"$1"
}

is_done() { [[ -s results/$1.$2.$3.json ]]; }
is_there() { [[ -e $(output_of "$@") ]]; }
minutes_of() { sed -n 's/.*"minutes": \([0-9.]*\),.*/\1/p' "results/$1.$2.$3.json"; }

# plan ROW SEED STEP: adds it to `planned`, after what it needs if it is not done; each once. `state_of` says whether it is.
planned=()
declare -A state_of=()
plan() {
  local step="$1 $2 $3" state='to do' before need
  before=${state_of[$step]-}
  # What was done elsewhere, or has been removed since, is done again where it is needed.
  if is_done "$@" && { [[ -z ${4-} ]] || is_there "$@"; }; then state='done'; fi
  [[ -z $before || ($before == 'done' && $state == 'to do') ]] || return 0
  state_of[$step]=$state
  if [[ $state == 'to do' ]]; then
    # shellcheck disable=SC2086  # three words
    while read -r need; do plan $need needed; done < <(needs "$1" "$2" "$3")
  fi
  [[ -n $before ]] || planned+=("$step")
}

# ensure ROW SEED STEP: has a step done, and before it what it needs.
ensure() {
  ! is_done "$@" || return 0
  local need needs=()
  mapfile -t needs < <(needs "$@")
  for need in ${needs[@]+"${needs[@]}"}; do
    # As planned.
    # shellcheck disable=SC2086  # three words
    is_there $need || rm -f "results/${need// /.}.json"
    # shellcheck disable=SC2086
    ensure $need
  done
  leave_if_stopping

  local log=logs/$1.$2.$3.log times=logs/$1.$2.$3.times code=0 minutes
  # A start that was killed has left no end in the list of starts and ends: the last it said was then.
  if [[ -n $(tail -c 1 "$times" 2>/dev/null) ]]; then
    { date -r "$log" +%s 2>/dev/null || date +%s; } >>"$times"
  fi
  say "$(date +%H:%M) $1, seed $2: $3 ($PWD/$log)"
  answer=logs/$1.$2.$3.answer
  printf '%s ' "$(date +%s)" >>"$times"
  "step_$3" "$1" "$2" 2>>"$log" || code=$?
  date +%s >>"$times"
  if ((code != 0)); then
    ((code != 75)) || stopping=1
    leave_if_stopping
    tail -n 20 "$log" >&2
    die "$3 of $1, seed $2, failed; all it said is in $PWD/$log"
  fi
  minutes=$(awk '{ sum += $2 - $1 } END { printf "%.2f", sum / 60 }' "$times")
  printf '{"row": "%s", "seed": %s, "step": "%s", "minutes": %s, "version": "%s", "result": %s}\n' "$1" "$2" "$3" \
    "$minutes" "$version" "$(tail -n 1 "$answer")" >"results/.$1.$2.$3.partial"
  mv "results/.$1.$2.$3.partial" "results/$1.$2.$3.json"
  rm -f "$answer"
}
