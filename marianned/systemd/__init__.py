"""What passes between the daemon and systemd: notifications, a socket, the journal; no library."""
