"""Shells: what bash, zsh and fish must know to complete `firkin`.

The rule: a shell gives the line up to the cursor, and firkin (cli.completing) answers a line for each word:

    word <tab> VALUE <tab> help     a whole word
    open <tab> VALUE <tab> help     the beginning of one: no space behind it
    file, dir                       the shell's own completion of paths

It is asked by its name alone: a program beside us that is called so is not run by a press of TAB.
"""

from __future__ import annotations

BASH = """\
# completion of firkin in bash: `firkin completion bash`
_firkin_completion() {
    local answer kind value help
    COMPREPLY=()
    answer=$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        _FIRKIN_COMPLETE=bash command firkin 2>/dev/null) || return 0
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            word) COMPREPLY+=("$value") ;;
            open) COMPREPLY+=("$value"); compopt -o nospace ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done <<< "$answer"
}
complete -o nosort -F _firkin_completion firkin
"""

ZSH = """\
#compdef firkin
# completion of firkin in zsh: `firkin completion zsh`
_firkin() {
    local -a words_ words_shown opens opens_shown
    local line kind value help
    local typed="${(j: :)${(@)words[1,CURRENT-1]}} $PREFIX"
    for line in "${(@f)$(COMP_LINE=$typed _FIRKIN_COMPLETE=zsh command firkin 2>/dev/null)}"; do
        IFS=$'\\t' read -r kind value help <<< "$line"
        case $kind in
            word) words_+=("$value"); words_shown+=("$value${help:+  -- $help}") ;;
            open) opens+=("$value"); opens_shown+=("$value${help:+  -- $help}") ;;
            file) _files ;;
            dir) _files -/ ;;
        esac
    done
    (( $#words_ )) && compadd -l -d words_shown -a words_
    (( $#opens )) && compadd -S '' -d opens_shown -a opens
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _firkin "$@"
else
    compdef _firkin firkin
fi
"""

FISH = """\
# completion of firkin in fish: `firkin completion fish`
function __firkin_completion
    set -l line (commandline -cp)
    for answer in (COMP_LINE="$line" _FIRKIN_COMPLETE=fish command firkin 2>/dev/null)
        set -l parts (string split -m 2 \\t -- $answer)
        switch $parts[1]
            case file
                __fish_complete_path (commandline -ct)
            case dir
                __fish_complete_directories (commandline -ct)
            case word open
                printf '%s\\t%s\\n' $parts[2] "$parts[3]"
        end
    end
end
complete --command firkin --no-files --arguments '(__firkin_completion)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
