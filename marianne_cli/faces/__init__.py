"""What the faces share: the live terminal and the web page, which are clients like `mzt` itself."""
