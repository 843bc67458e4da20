"""An agents' door: `mzt mcp` serves the Model Context Protocol on its own input and output, and nowhere else.

`stdio` speaks the protocol, in both of its generations; `tools` are what an agent is offered. It is one more
client of the socket: what the daemon refuses to a sheet (`sheets_may`) it refuses here, too.
"""
