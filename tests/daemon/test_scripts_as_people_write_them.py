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
}


@pytest.fixture(scope="module")
def daemon():
    made = Daemon()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_as_bash_alone_would(daemon, tmp_path, name):
    script = SCRIPTS[name]
    job = "s-" + "".join(c if c.isalnum() else "-" for c in name)
    body = "".join(f"    {line}\n" for line in script.splitlines()) if script.endswith("\n") else None
    template = f"|\n{body}" if body else f"'{script.replace(chr(39), chr(39) * 2)}'\n"
    text = f"name: {job}\nworkspace: ./{job}\ninstrument: cli\nsheet: {{size: 1, total_items: 1}}\nretry: {{max_retries: 0}}\nprompt:\n  template: {template}"
    daemon.submit(text)
    daemon.wait_for(job, "ended")
    (attempt,) = daemon.attempts(job, 1)
    printed = {}
    for stream in ("stdout", "stderr"):
        reply = daemon.rpc("log.read", job_id=job, sheet=1, stream=stream, limit=200_000)
        printed[stream] = base64.b64decode(reply["data"])
    env = {**daemon.environment, "PWD": str(tmp_path)}
    file = tmp_path / "script.sh"
    file.write_text(script)
    file.rename(tmp_path.parent / f"{tmp_path.name}.sh")  # not where the script itself would see it
    command = ["bash", str(tmp_path.parent / f"{tmp_path.name}.sh")]
    alone = subprocess.run(
        command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (attempt["exit_code"], printed["stdout"]) == (alone.returncode, alone.stdout)
    assert re.sub(rb"(?m)^\S+: line", b"bash: line", printed["stderr"]) == re.sub(
        rb"(?m)^\S+: line", b"bash: line", alone.stderr
    )
