"""`python -m marianne_cli` is `mzt`."""

from marianne_cli.main import main

main()
