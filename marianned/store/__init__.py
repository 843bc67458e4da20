"""What the daemon must not forget: one SQLite database, one thread that writes it, readers beside it."""
