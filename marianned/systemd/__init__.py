"""What passes between the daemon and systemd: notifications, a socket handed over, the journal. No library."""
