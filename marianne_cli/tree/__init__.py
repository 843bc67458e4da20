"""All commands: their table, `mzt` as Click has it, and its help."""
