"""The socket: connections in, requests to the conductor, replies and streams out."""
