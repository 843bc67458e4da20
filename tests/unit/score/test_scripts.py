"""Shell sheets: which text of a body is run."""

from kit.tables import each

from marianned.score.render.script import has_dropped_text, script_of

DOCUMENT = """\
# Build

Say why.

  ```bash
  cd x
    make
  ```
```json
{"a": 1}
```
~~~sh
echo ```
~~~
"""


def test_the_tagged_blocks_of_a_document_are_the_script():
    assert script_of(DOCUMENT, "auto") == "cd x\n  make\necho ```"
    assert has_dropped_text(DOCUMENT, "auto")


@each(
    ("body", "mode", "script", "drops"),
    [
        ("echo a\n", "auto", "echo a\n", False),
        ("#!/bin/bash\necho a", "auto", "#!/bin/bash\necho a", False),
        ("# only a comment\necho a", "auto", "# only a comment\necho a", False),
        ("cat <<E\n```bash\nb\n```\nE", "auto", "cat <<E\n```bash\nb\n```\nE", False),
        ("\n```shell\na\n```\n", "auto", "a", False),
        ("```bash\na\n```\n```sh\nb\n```", "auto", "a\nb", False),
        ("```bash title=x\na\n```", "auto", "a", False),
        ("```bash\nnever closed", "auto", "never closed", False),
        ("````markdown\n```bash\nb\n```\n````\n", "auto", "````markdown\n```bash\nb\n```\n````\n", False),
        (DOCUMENT, "whole", DOCUMENT, False),
        ("echo a\n", "fenced", "", True),
    ],
)
def test_what_runs(body, mode, script, drops):
    assert script_of(body, mode) == script
    assert has_dropped_text(body, mode) is drops
