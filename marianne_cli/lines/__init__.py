"""Command lines: what a command takes, as data; how a plain line is read; what can not be carried out."""
