"""What the faces share, the live terminal, the web page and the agents' door: clients like `mzt` itself."""
