/**
 * The bash of a session: a loop that reads cells, evaluates them and says their status. A cell that ends the shell
 * itself (`exit`, `set -e`, an interrupt) reports from the EXIT trap; the shell then starts anew in the same process
 * with its variables and functions.
 */

/** Source of the loop, for `bash -c source cell`. Fields end in NUL; the seal is read when the cell is over. */
export const source = `
__cell_report() {
  local seal
  IFS= read -r -N 32 -u 3 seal || builtin exit 0
  if [ "$1" -eq 0 ]; then printf 'E%s+{"exitCode":0}\\n' "$seal" >&4
  else printf 'E%s-{"exitCode":%d}\\n' "$seal" "$1" >&4; fi
}
__cell_restore() {
  local name
  for name in "\${!__cell_saved[@]}"; do
    if [ "\${__cell_saved[$name]}" = - ]; then unset "$name"; else export "$name=\${__cell_saved[$name]:1}"; fi
  done
}
__cell_exit() {
  local status=$?
  trap '' INT
  set +eux
  __cell_restore
  [ "$BASHPID" = "$$" ] || builtin exit "$status"
  local state; state=$(mktemp)
  { declare -p | grep -v '^declare -[A-Za-z-]* __cell_'; declare -f; alias -p; } >"$state" 2>/dev/null
  __cell_report "$status"
  trap - INT
  exec "$BASH" --norc --noprofile -c "$BASH_EXECUTION_STRING" cell "$state"
}
trap '' INT
if [ -n "$1" ]; then . "$1" 2>/dev/null; rm -f "$1"; shift; fi
declare -A __cell_saved
while IFS= read -r -d '' -u 3 __cell_cwd && IFS= read -r -d '' -u 3 __cell_code && IFS= read -r -d '' -u 3 __cell_left
do
  __cell_saved=()
  while [ "$__cell_left" -gt 0 ]; do
    IFS= read -r -d '' -u 3 __cell_name; IFS= read -r -d '' -u 3 __cell_value
    if [ -n "\${!__cell_name+x}" ]; then __cell_saved[$__cell_name]="+\${!__cell_name}"
    else __cell_saved[$__cell_name]=-; fi
    export "$__cell_name=$__cell_value"
    __cell_left=$((__cell_left - 1))
  done
  cd "$__cell_cwd" || { __cell_restore; __cell_report 1; continue; }
  trap __cell_exit EXIT
  trap 'builtin exit 130' INT
  eval "$__cell_code" 3<&- 4>&-
  __cell_status=$?
  trap '' INT
  # Options of the shell end with their cell: the loop could not go on under \`set -e\`.
  { set +eux; } 2>/dev/null
  trap - EXIT
  __cell_restore
  __cell_report "$__cell_status"
done
`
