"""Read-only requests: jobs, why, outputs, instruments, metrics."""
