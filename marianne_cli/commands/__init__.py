"""The commands, one file each: options, one request, its result as text."""
