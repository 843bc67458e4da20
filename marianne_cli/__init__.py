"""The thin client: `mzt`, and the public Python client it is built on."""
