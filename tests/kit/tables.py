"""Tables whose rows are tried in one test: each item of pytest costs milliseconds, and most rows microseconds."""

import functools
import inspect


def each(names, rows):
    """Have a test try all rows, as `parametrize` would by an item each; all that fail are told, with their rows.

    It is for tests of which nothing is left behind for the next row, and that have no fixtures that could be.
    """
    named = [names] if isinstance(names, str) else list(names)
    rows = [(row,) if isinstance(names, str) else tuple(row) for row in rows]

    def over(test):
        @functools.wraps(test)
        def all_of_them(**given):
            assert rows, "nothing is tried"  # not before: a module that is skipped may have none
            wrong = []
            for row in rows:
                told = dict(zip(named, row, strict=True))
                try:
                    test(**given, **told)
                except BaseException as failure:
                    failure.add_note(f"the row: {told}")
                    if not isinstance(
                        failure, Exception
                    ):  # a time limit, say, or what was to be raised and was not
                        raise
                    wrong.append(failure)
            if wrong:
                shown = "; ".join(note for failure in wrong for note in failure.__notes__)
                raise AssertionError(f"{len(wrong)} of {len(rows)} fail: {shown}") from ExceptionGroup(
                    test.__name__, wrong
                )

        signature = inspect.signature(test)
        kept = [one for name, one in signature.parameters.items() if name not in named]
        all_of_them.__signature__ = signature.replace(parameters=kept)
        del all_of_them.__wrapped__  # pytest would ask that for its parameters
        return all_of_them

    return over
