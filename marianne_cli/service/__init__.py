"""The daemon as a service: start and stop, systemd units, what doctor finds of them."""
