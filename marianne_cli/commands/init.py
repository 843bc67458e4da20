"""`mzt init`: write a first score."""

import os
from pathlib import Path

import marianned
from marianne_cli import options, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianned.formatting import typed

_SCORE = """\
# yaml-language-server: $schema={schema}
# A first score: three stages of shell sheets. It runs as it is: mzt run {file}
name: {name}                     # what the job is called; `mzt status {name}`
workspace: ./{name}-out          # where its sheets work; beside this file
instrument: cli                  # the shell; claude-code, codex-cli, ... ask an agent instead
instrument_config: {{errexit: true}} # a script ends at its first line that fails, as after set -euo pipefail

sheet:
  size: 1
  total_items: 3                 # three stages,
  fan_out: {{2: 2}}                # the second of them twice, side by side
  dependencies: {{2: [1], 3: [2]}} # 2 after 1, 3 after both of 2

parallel: {{enabled: true, max_concurrent: 2}}

prompt:                          # for an agent this is the prompt; for the shell, the script
  variables:
    audiences: {{1: users, 2: developers}}
  template: |
    {{% if stage == 1 %}}
    date > "{{{{ workspace }}}}/changes.md"
    {{% elif stage == 2 %}}
    echo "for {{{{ audiences[instance] }}}}:" > "{{{{ workspace }}}}/notes-{{{{ instance }}}}.md"
    cat "{{{{ workspace }}}}/changes.md" >> "{{{{ workspace }}}}/notes-{{{{ instance }}}}.md"
    {{% else %}}
    cat "{{{{ workspace }}}}"/notes-*.md > "{{{{ workspace }}}}/NOTES.md"
    {{% endif %}}

validations:                     # a sheet is completed when these hold, whatever it says itself
  - {{type: file_exists, path: "{{workspace}}/changes.md", condition: "stage == 1"}}
  - {{type: file_exists, path: "{{workspace}}/notes-{{instance}}.md", condition: "stage == 2"}}
  - {{type: content_contains, path: "{{workspace}}/NOTES.md", pattern: "for users:", condition: "stage == 3"}}
"""


@options.command("init", "mzt init", "mzt init release-notes.yaml")
@options.argument("file", metavar="[FILE]", default="score.yaml", kind=options.FILE)
def command(call: Invocation, *, file: str) -> CommandOutcome:  # noqa: ARG001  it asks nobody
    """Write a commented score that runs as it is, without an AI account."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in Path(file).stem)
    schema = Path(marianned.__file__).with_name("score") / "score.schema.json"
    text = _SCORE.format(
        file=terminal.line(file), name=name.lstrip("._-")[:100] or "score", schema=schema.as_uri()
    )
    options.write_new(file, text)
    hints = [f"mzt run {typed(file)}"]
    result = {"message": f"{file}: written; a score of 4 shell sheets", "hints": hints}
    text = f"{terminal.line(file)}: written; a score of 4 shell sheets; run it: {hints[0]}"
    return CommandOutcome({**result, "config_file": os.path.abspath(file)}, text=text)  # noqa: PTH100
