"""What a job does next: triggers in, a decision out; nothing is carried out here."""
