# SPDX-License-Identifier: ISC
# Completion of postern(1) for bash. The verbs come from the program itself.

_postern_ids() {
	postern queue list --json 2>/dev/null | sed -n 's/.*"id":"\([^"]*\)".*/\1/p'
}

_postern_words() {
	case $1 in
	'') postern --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' ;;
	config) echo show ;;
	dkim) echo new list rotate activate retire test ;;
	dns) echo --format --diff --zone --source --resolver ;;
	doctor) echo --domain --source --quick --offline --resolver --fail-on --wait ;;
	explain) echo --client --login --from --to ;;
	lint) echo --from --listener ;;
	queue) [ "$2" = 2 ] && echo list show cat retry delete hold release export import fsck --damaged || _postern_ids ;;
	send) echo --to --from ;;
	setup) echo --yes --no-wait --public-ip --hostname --format --resolver ;;
	user) [ "$2" = 2 ] && echo add list rm || echo --from --password-file ;;
	esac
}

_postern() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb= at=0 i

	COMPREPLY=()
	case $before in
	-c | --password-file | export | import)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	# Which word this is, not counting options.
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c) ((i++)) ;;
		-*) ;;
		*)
			((at++))
			[ -n "$verb" ] || verb=${COMP_WORDS[i]}
			;;
		esac
	done
	mapfile -t COMPREPLY < <(compgen -W "$(_postern_words "$verb" $((at + 1))) -c --json --help" -- "$word")
}

complete -F _postern postern
