"""The least a server on this socket can do: python tests/benchmarks/echo.py PATH sends each line back."""

import sys

import anyio


async def serve(path):
    listener = await anyio.create_unix_listener(path)
    print("ready", flush=True)
    await listener.serve(echo)


async def echo(stream):
    async with stream:
        async for data in stream:
            await stream.send(data)


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
