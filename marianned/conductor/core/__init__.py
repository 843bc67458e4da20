"""All jobs in memory, the loop of each, and what a loop needs: waiters, reservations, keys, pause file."""
