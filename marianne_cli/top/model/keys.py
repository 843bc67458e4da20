"""The keys, as `?` and the documentation tell them."""

KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Everywhere",
        (
            (
                "j k g G",
                "down, up, to the beginning, to the end; also arrows, Ctrl-D, Ctrl-U, Home, End, the wheel",
            ),
            ("Enter", "open a job, unfold a stage, zoom into an output"),
            ("Esc q", "back; in the list of jobs Esc shows all again, q ends mzt top"),
            ("/", "filter the rows by words, or search the output, whichever has the keys"),
            ("!", "failed jobs or sheets alone, or all again"),
            ("i", "in the list of jobs: hide what is said of the one chosen, or show it again"),
            ("Space", "freeze: nothing moves until you press it again"),
            ("y", "copy: what is selected with the mouse, else a name, an mzt line, or the lines shown"),
            ("u", "copy an address of the page (mzt dashboard) at what is looked at here"),
            (":", "the palette: all that can be done, by name; also Ctrl-P"),
            ("?", "this page"),
        ),
    ),
    (
        "Actions: the mzt line of each is shown",
        (
            ("a", "all that can be asked of the job and the sheet, each with its line"),
            ("p r R x", "pause, resume, retry now, cancel (asks)"),
            ("e", "edit the score in $EDITOR, see the plan, apply it"),
            ("b", "pause before this sheet, or no longer"),
            ("P C X", "in the list: pause, resume, cancel all jobs that are shown (asks)"),
        ),
    ),
    (
        "One job",
        (
            ("Tab", "to the other side"),
            ("v", "the sheets as a list, or as a graph by stages"),
            ("h l", "fold, unfold a stage"),
            ("1 - 5", "output, attempts, why, journal, revisions"),
            ("[ ]", "in revisions: what the two versions before, or after, differ in"),
            ("z", "the right side alone, or both again"),
        ),
    ),
    (
        "Output",
        (
            ("G F", "to the end, and follow; to scroll up stops following"),
            ("n N", "next match of a search, the one before"),
            ("f", "only the lines that match, or all again"),
            ("[ ]", "the attempt before, the next one"),
            ("s", "stdout, stderr, the prompt, the result"),
            ("o", "what all prints that runs, each line with its sheet, or the sheet alone again"),
            ("w", "wrap long lines, or cut them"),
            ("<", "read further back"),
            ("L", "hand all of it to the pager; in the output also l"),
            ("", "most terminals select without mzt top while Shift (or Option) is held"),
        ),
    ),
)
