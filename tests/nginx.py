"""Find an nginx for the tests, or install Debian's: `python -m tests.nginx`."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from .chromium import install

HELP = "The tests behind a proxy need nginx: install it (Debian: apt-get install nginx), or set NGINX to its path."
FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""


def find():
    """Return the path of an nginx, or None."""
    candidates = [os.environ.get("NGINX"), shutil.which("nginx"), "/usr/sbin/nginx", "/usr/local/sbin/nginx"]
    return next((path for path in candidates if path and Path(path).exists()), None)


class Nginx:
    """An nginx in front of a server, with `server` blocks as people write them.

    In them, `listen 80` is put onto a free port, and 127.0.0.1:8000 is where the server is.
    """

    def __init__(self, folder, upstream, servers):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        servers = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", servers)
        servers = servers.replace("http://127.0.0.1:8000", upstream)
        folder.mkdir()
        (folder / "nginx.conf").write_text(FRAME.format(folder=folder, servers=servers))
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "error.log"
        self._process = subprocess.Popen(
            [find(), "-p", folder, "-c", folder / "nginx.conf", "-e", self.log],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def listens(self):
        """Tell whether it takes connections by now."""
        assert self._process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def close(self):
        self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    if not find():
        install("nginx")
    if not find():
        print(f"{HELP} They are skipped.")
