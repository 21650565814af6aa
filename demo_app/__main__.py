"""Serve the demo on localhost: ``python -m demo_app``. ``PORT`` sets the port; the default is 5000."""

import os
import socket
import sys

from werkzeug.serving import make_server

from . import create_app

HOST = "127.0.0.1"


def main() -> None:
    port = os.environ.get("PORT", "5000")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        sys.exit(f"PORT is {port!r}. Give a number from 0 to 65535, for example: make demo PORT=8000")
    app = create_app()
    try:
        listener = socket.create_server((HOST, int(port)))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        sys.exit(f"Port {port} cannot be used: {reason}. Take another one, for example: make demo PORT=8000")
    with listener:
        server = make_server(HOST, int(port), app, threaded=True, fd=listener.fileno())
        print(f"The demo is at http://{HOST}:{listener.getsockname()[1]}  (Ctrl+C stops it)", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
