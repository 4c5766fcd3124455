# Completion of trireme's commands, options and deck keys for bash: source it, or let cmake --install put it where bash-completion looks.
_trireme() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]:-}
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(trireme help names 2>/dev/null) --version --help" -- "$word")
  elif [[ $word == --*.* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(trireme help keys 2>/dev/null | sed 's/.*/--&=/')" -- "$word")
    compopt -o nospace
  elif [[ $word == --* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(trireme help "$command" 2>/dev/null | grep -oE '^  --[a-z-]+' | tr -d ' ')" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -F _trireme trireme
