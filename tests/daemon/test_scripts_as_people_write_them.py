"""Shell scripts as people write them run byte for byte as bash alone runs them."""

import base64
import re
import subprocess

import pytest
from kit.daemon import Daemon

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
    "coproc": 'coproc UP { tr a-z A-Z; }\necho hello >&"${UP[1]}"\nexec {UP[1]}>&-\ncat <&"${UP[0]}"\nwait "$UP_PID"; echo rc $?\n',
    "descriptors": 'exec 3>&1 4>&2\nx=$(echo captured; echo shown >&3)\necho "[$x]"\nexec 1>&2; echo err; exec 1>&3 3>&-\necho back\n{ echo lost >&3; } 2>/dev/null || echo closed\n',
    "unset names": 'set -uo pipefail\narr=()\necho "${arr[@]+none}" "${#arr[@]}" "${x:-d}" "${x+set}"\nset +u; echo "<$x>"; set -u\n: "${NEEDED:?is needed}"\n',
    "errexit and traps": "set -Eeuo pipefail\ntrap 'echo \"at $LINENO: $BASH_COMMAND\" >&2' ERR\nf() { false; }\nif f; then echo no; fi\nx=$(exit 5) || echo caught $?\nf\necho not here\n",
    "standard input": "read -r line || echo nothing to read\ncat; wc -c </dev/stdin\n[ -t 0 ] || echo no terminal\n",
    "continued lines": 'echo a \\\n  b \\\n  c\nif true; then\n\techo "tab\n  two"\nfi\necho "trailing blanks   "   \n\n\n',
    "quoted braces": "echo '%}' '#}' '}}' \"${HOME:+x}\" {a,b} $'{'$'{'\n",
    "tee of tee": "exec > >(tee >(wc -l >lines) | sed 's/^/o: /') 2> >(tee errors >&2)\nseq 300\necho oops >&2\n",
    "process ids": "[ $$ = $BASHPID ] && echo same\n(sleep 0.1; exit 9) & wait $!; echo $?\njobs; echo ${PIPESTATUS[@]}\n",
    "globs": "touch 'a b.txt' c.txt .hidden\nshopt -s nullglob dotglob\nprintf '<%s>' *.txt .h*; echo\nfor f in *.none; do echo no; done\n[[ abc =~ ^(a)(.*)$ ]] && echo \"${BASH_REMATCH[2]}\"\n",
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
        reply = daemon.rpc("log.read", job_id=job, sheet=1, stream=stream, limit=200_000)
        printed[stream] = base64.b64decode(reply["data"])
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
        ["bash", str(file)], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
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


def test_line_ends_of_windows_are_those_of_bash(daemon, tmp_path):
    script = b"echo one\r\nif true; then\r\n  echo two\r\nfi\r\n"
    (daemon.home / "windows.sh").write_bytes(script)
    found = submitted(daemon, "s-windows", f"template_file: {daemon.home / 'windows.sh'}\n")
    assert found == alone(daemon, tmp_path, script.replace(b"\r", b""))
