"""One job's sheets: decide changes a copy of the state, which the job becomes when that is committed."""
