"""One job's sheets: decide looks and changes nothing, apply is the only thing that changes."""
