"""What people see: tables, status, why, transcripts, metrics."""
