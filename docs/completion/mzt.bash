# Completion of mzt for bash, loaded when it is wanted: the program knows its own.
eval "$(mzt completion bash)"
