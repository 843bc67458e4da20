"""What is in flight: attempts, checks, hooks and skip rules, each supervised until its end is on record."""
