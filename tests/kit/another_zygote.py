"""The zygote of another program, forked off one that has loaded most of it; as a program it is that zygote."""

import sys

from kit import zygote

if __name__ == "__main__":
    zygote.serve(sys.argv[1])
