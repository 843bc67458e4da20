"""Shell scripts as people write them run byte for byte as bash alone runs them."""

import base64
import re
import subprocess

import pytest
from kit.daemon import Daemon

pytestmark = pytest.mark.both

SCRIPTS = {
    "timestamps": "exec > >(sed 's/^/> /' | tee log) 2>&1\nfor i in $(seq 40); do echo step $i; done\necho done\n",
    "tee to stderr": "exec 2> >(cat >&2)\necho out; echo err >&2\n",
    "two substitutions": "diff <(seq 3) <(seq 4)\necho rc $?\n",
    "server": "sleep 100 >/dev/null 2>&1 &\ntrap 'kill $!' EXIT\necho served\n",
    "traps": "trap 'echo bye' EXIT\ntrap 'echo err at $LINENO' ERR\nfalse\necho on\nexit 0\n",
    "lengths": 'files=(a "b c" d)\necho "${#files[@]} ${#files[1]} ${#HOME} ${files[@]#a}"\n',
    "arrays": 'declare -A m=([k]=v)\necho "${m[k]} ${!m[@]}"\nread -ra w <<< "x y z"\necho "${w[-1]}"\n',
    "fence in a document": "# Publish\ncat > notes.md <<'X'\nInstall:\n```sh\necho danger > ran.txt\n```\nX\ncat notes.md; ls\n",
    "yaml in a document": 'cat <<YAML\nname: x\nlist: [1, 2]\nmap: {a: b}\n# comment\n- "$((1+1))"\nYAML\n',
    "documents with tabs": "cat <<-X\n\tone\n\t\ttwo\n\tX\necho three\n",
    "set -u": 'set -u\necho "${UNSET:-none}"\necho "$UNSET2"\necho not here\n',
    "set -e": "set -euo pipefail\nfalse | true\necho not here\n",
    "a failing line": "false\nls /none 2>/dev/null\necho on\n",
    "sudo": "sudo -n true 2>/dev/null || echo no sudo\n",
    "pipeline": "seq 1000 | sort -rn | head -5 | awk '{s+=$1; print $1} END{print s}' | tr '\\n' ' '\necho\n",
    "quotes": 'echo "it\'s" \'a "b"\' $\'tab\\there\' "$(echo "nested $(echo x)")"\n',
    "no newline": "printf 'no newline at the end'",
    "bytes": "printf '\\001\\377\\000x\\n'; echo 'ünï ☃'\n",
    "functions": 'f() { local x=$1; echo "${x^^} ${x:1:2} ${x//l/L} ${x%o} $# $@"; }\nf hello world\n',
    "case and while": "while read -r a b; do case $a in x*) echo \"X $b\";; *) echo other;; esac; done <<< $'x1 one\\ny two'\n",
    "exit code": "echo to stderr >&2\nexit 42\n",
    "jobs": "for i in 1 2 3; do (echo $i) & wait; done; echo all\n",
    "printf and expansions": 'printf "%s|%5.2f|%q\\n" a 3.14159 "x y"\necho {a,b}{1..2} $((2**10)) ${RANDOM:+set}\n',
    "comment first": "# Build\n# (and test)\necho built # here\n",
    "documents in documents": "cat <<A; cat <<'B'; cat <<-C\none $((1+1)) $(cat <<X\ninner\nX\n)\nA\n${#no} $(not run)\nB\n\tthree `echo x`\n\tC\necho end\n",
    "a document to bash": "bash -s -- a b <<'OUTER'\necho $# \"$@\"\ncat <<'INNER'\n```\nfence $1\n```\nINNER\nexit 3\nOUTER\necho rc $?\n",
    "escapes": "printf '%s' $'\\x01\\e[31m\\u2603\\t\\'q\\'' | od -c\necho -e 'a\\tb\\c'\n",
    "exit traps with output": "trap 'echo one; echo two >&2; (echo three); exit 7' EXIT\ntrap 'echo term' TERM\nkill -TERM $$\necho still\n",
    "a trap in a subshell": "( trap 'echo sub' EXIT; echo in ) | cat\nf() { trap 'echo ret $?' RETURN; return 4; }\nf; echo $?\n",
    # bash forgets UP and UP_PID as soon as it has seen the end of it
    "coproc": 'coproc UP { tr a-z A-Z; }\npid=$UP_PID; exec 5<&"${UP[0]}"\necho hello >&"${UP[1]}"\nexec {UP[1]}>&-\ncat <&5\nwait "$pid"; echo rc $?\n',
    "descriptors": 'exec 3>&1 4>&2\nx=$(echo captured; echo shown >&3)\necho "[$x]"\nexec 1>&2; echo err; exec 1>&3 3>&-\necho back\n{ echo lost >&3; } 2>/dev/null || echo closed\n',
    "unset names": 'set -uo pipefail\narr=()\necho "${arr[@]+none}" "${#arr[@]}" "${x:-d}" "${x+set}"\nset +u; echo "<$x>"; set -u\n: "${NEEDED:?is needed}"\n',
    "errexit and traps": "set -Eeuo pipefail\ntrap 'echo \"at $LINENO: $BASH_COMMAND\" >&2' ERR\nf() { false; }\nif f; then echo no; fi\nx=$(exit 5) || echo caught $?\nf\necho not here\n",
    "standard input": "read -r line || echo nothing to read\ncat; wc -c </dev/stdin\n[ -t 0 ] || echo no terminal\n",
    "continued lines": 'echo a \\\n  b \\\n  c\nif true; then\n\techo "tab\n  two"\nfi\necho "trailing blanks   "   \n\n\n',
    "quoted braces": "echo '%}' '#}' '}}' \"${HOME:+x}\" {a,b} $'{'$'{'\n",
    "tee of tee": "exec > >(tee >(wc -l >lines) | sed 's/^/o: /') 2> >(tee errors >&2)\nseq 300\necho oops >&2\n",
    "process ids": "[ $$ = $BASHPID ] && echo same\n(sleep 0.1; exit 9) & wait $!; echo $?\njobs; echo ${PIPESTATUS[@]}\n",
    "globs": "touch 'a b.txt' c.txt .hidden\nshopt -s nullglob dotglob\nprintf '<%s>' *.txt .h*; echo\nfor f in *.none; do echo no; done\n[[ abc =~ ^(a)(.*)$ ]] && echo \"${BASH_REMATCH[2]}\"\n",
    "a trap with children behind it": "trap 'echo bye; kill $child 2>/dev/null; wait $child 2>/dev/null; echo rc $?' EXIT\nsleep 100 & child=$!\nuntil [ \"$(cat /proc/$child/comm)\" = sleep ]; do :; done\necho up\nexit 4\n",
    "a trap of each signal": 'for s in INT TERM HUP USR1; do trap "echo got $s" $s; kill -$s $$; done\ntrap - TERM; echo end\n',
    "strict with substitution": 'set -euo pipefail\nwhile read -r l; do echo "<$l>"; done < <(printf \'a\\nb\\n\'; exit 3)\nmapfile -t lines < <(seq 3)\necho "${#lines[@]} ${lines[*]}"\ncat <(echo x) <(false) | wc -l\n',
    "wait for the next": "set -u\nfor n in 3 1 2; do (sleep 0.$n; exit $n) & done\nwhile wait -n; do :; done; echo first bad $?\nwait; echo all $?\n",
    "wait for which": '(exit 7) & a=$!\nwait -n -p which; echo $? $([ "$which" = "$a" ] && echo same)\n',
    "mapfile": "mapfile -t -d '' a < <(printf 'one\\0two words\\0')\ndeclare -p a\nreadarray -n 2 -s 1 b < <(seq 5); printf '%s' \"${b[@]}\"\n",
    "a string with NULs": "x=$(printf 'a\\0b'); echo \"${#x}\" \"$x\"\ncat <<< $'c\\0d'\nprintf 'e\\0f\\n' | od -c\n",
    "an exit in a subshell": "(echo in; exit 5; echo never); echo after $?\n{ echo group; exit 6; }\necho never\n",
    "stdout closed": "echo first\nexec >&-\necho lost || echo failed >&2\nls / || true\nexit 3\n",
    "stderr closed": "exec 2>&-\nls /none\necho rc $?\n",
    "all closed": "exec <&- >&- 2>&-\necho x\nexit 9\n",
    "a writer that outlives it": "(sleep 0.4; echo late; sleep 0.2; echo later >&2) &\necho early\n",
    "a writer of a writer": "( ( sleep 0.3; echo grandchild ) & )\nsetsid sh -c 'sleep 0.2; echo session' &\necho parent\n",
    "a large line": "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end\n",
    "many lines on both": "for i in $(seq 2000); do echo out $i; echo err $i >&2; done\n",
    "a broken pipe": "yes | head -2\necho ${PIPESTATUS[@]}\nseq 100000 | grep -m1 5\n",
    "another interpreter": "#!/usr/bin/env python3\necho this is $BASH_VERSION | cut -c1-10\n",
    "options in its first line": "#!/bin/bash -eu\nfalse\necho on\n",
    "exec of another": "echo one\nexec env -i /bin/sh -c 'echo two; exit 8'\necho never\n",
    "select and read": "select x in a b; do echo $x; done; echo rc $?\nread -t 1 -n 1 c; echo rc $?\n",
    "getopts": 'f() { local OPTIND o; while getopts ab:c o; do echo "$o ${OPTARG-}"; done; shift $((OPTIND-1)); echo "$*"; }\nf -a -b x -c rest \'of it\'\n',
    "a syntax error": "echo one\nif true; then\necho two\n",
    "history and bang": "echo 'wow!' \"a!b\"\nset -H; echo !! 2>&1 | head -1\n",
    "locale and sort": "printf 'b\\nA\\na\\nB\\n' | LC_ALL=C sort; printf '%s\\n' ä z | sort; echo ${#LANG} >/dev/null\n",
    "umask and modes": "umask 077; touch f; stat -c %a f; mkdir d; stat -c %a d\n",
    "times out inside": "timeout 0.2 sleep 10; echo $?\n( ulimit -t 100; ulimit -t )\n",
    "nested quotes of YAML": "x='key: \"value # no comment\"'\necho \"$x\" | sed 's/^/- /'\necho 'a: |' \\\n  'b'\n",
    "unicode names": "ä=1 2>/dev/null; echo $?\ntouch $'caf\\u00e9 \\U1F600'; ls | od -c | head -3\n",
    "empty": ":\n",
    "only a comment": "# nothing to do\n",
}
RAW = {
    "docker formats": "echo '{{.Names}} {{ json . }}'\ncat <<'X'\n{% if x %}\n{# note #}\n${{ secrets.TOKEN }}\nX\n",
    "helm in a document": 'cat <<YAML\nimage: {{ .Values.image | default "x:1" }}\nenv: ${HOME:+home}\n{{- range $i, $e := .List }}\n  - {{ $e }}\n{{- end }}\nYAML\n',
}
"""Scripts that look like templates, as people put them between raw and endraw."""


@pytest.fixture(scope="module")
def daemon():
    made = Daemon()
    try:
        yield made.start()
    finally:
        made.close()


def submitted(daemon, job, template):
    """Run it as a job of one sheet; return its attempt, and what it printed."""
    text = f"name: {job}\nworkspace: ./{job}\ninstrument: cli\nsheet: {{size: 1, total_items: 1}}\nretry: {{max_retries: 0}}\nprompt:\n  {template}"
    daemon.submit(text)
    daemon.wait_for(job, "ended")
    (attempt,) = daemon.attempts(job, 1)
    printed = {}
    for stream in ("stdout", "stderr"):
        pieces, at = [], 0
        while not pieces or pieces[-1]:
            reply = daemon.rpc("log.read", job_id=job, sheet=1, stream=stream, offset=at, limit=262_144)
            pieces.append(base64.b64decode(reply["data"]))
            at += len(pieces[-1])
        printed[stream] = b"".join(pieces)
    return attempt["exit_code"], printed["stdout"], named(printed["stderr"])


def named(told):
    """Return what bash told without the name of the script's file, which differs."""
    return re.sub(rb"(?m)^\S+: line", b"bash: line", told)


def alone(daemon, tmp_path, script):
    """Run it by bash alone."""
    file = tmp_path.parent / f"{tmp_path.name}.sh"  # not where the script itself would see it
    file.write_bytes(script)
    env = {**daemon.environment, "PWD": str(tmp_path)}
    ended = subprocess.run(
        ["env", "--default-signal", "bash", str(file)],  # nohup and a shell's background leave some ignored
        cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout, named(ended.stderr)


def block(script):
    return "template: |\n" + "".join(f"    {line}\n" for line in script.splitlines())


def name_of(job):
    return "s-" + "".join(c if c.isalnum() else "-" for c in job)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_as_bash_alone_would(daemon, tmp_path, name):
    script = SCRIPTS[name]
    quoted = script.replace("'", "''")
    template = block(script) if script.endswith("\n") else f"template: '{quoted}'\n"
    assert submitted(daemon, name_of(name), template) == alone(daemon, tmp_path, script.encode())


@pytest.mark.parametrize("name", RAW)
def test_what_looks_like_a_template_runs_between_raw_and_endraw(daemon, tmp_path, name):
    template = block("{% raw %}\n" + RAW[name] + "{% endraw %}\n")
    assert submitted(daemon, name_of(name), template) == alone(daemon, tmp_path, RAW[name].encode())


ODD_FILES = {
    "a mark at its beginning": b"\xef\xbb\xbfecho one\necho two\n",
    "no newline at its end": b"echo one\nprintf two",
    "blank lines around": b"\n\n\necho one\n\n\n\n",
}
"""Scripts as files have them that editors wrote: by `template_file`."""


@pytest.mark.parametrize("name", ODD_FILES)
def test_a_file_runs_as_bash_alone_would(daemon, tmp_path, name):
    file = daemon.home / f"{name_of(name)}.sh"
    file.write_bytes(ODD_FILES[name])
    assert submitted(daemon, name_of(name), f"template_file: {file}\n") == alone(
        daemon, tmp_path, ODD_FILES[name]
    )


def test_line_ends_of_windows_are_those_of_bash(daemon, tmp_path):
    script = b"echo one\r\nif true; then\r\n  echo two\r\nfi\r\n"
    (daemon.home / "windows.sh").write_bytes(script)
    found = submitted(daemon, "s-windows", f"template_file: {daemon.home / 'windows.sh'}\n")
    assert found == alone(daemon, tmp_path, script.replace(b"\r", b""))
