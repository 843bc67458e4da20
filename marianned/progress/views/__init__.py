"""What a job shows: status, plan of the next steps, reasons, messages."""
