# Completion of mzt for fish, loaded when it is wanted: the program knows its own.
mzt completion fish | source
