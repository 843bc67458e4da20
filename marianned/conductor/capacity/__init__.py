"""What may start: slots, rate limits, free disk, instruments that can be used."""
