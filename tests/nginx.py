"""Find an nginx for the tests, or install Debian's: `python -m tests.nginx`."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from .chromium import install

HELP = "The tests behind a proxy need nginx: install it (Debian: apt-get install nginx), or set NGINX to its path."
OPENSSL_HELP = "The tests over https need openssl: install it (Debian: apt-get install openssl)."
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


def free_ports():
    """Return two ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def make_certificate(folder, name):
    """Make a certificate for a name, which nobody has signed."""
    subprocess.run(
        [
            *(shutil.which("openssl"), "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
        ],
        check=True,
        capture_output=True,
    )


class Nginx:
    """An nginx in front of a server, with `server` blocks as people write them.

    In them, `listen 80` and `listen 443 ssl` are put onto free ports, and 127.0.0.1:8000 is where the server is. Where
    they name certificates, one is made.
    """

    def __init__(self, folder, upstream, servers):
        port, self.secure_port = free_ports()
        servers = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", servers)
        servers = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{self.secure_port} ssl;", servers)
        servers = servers.replace("https://$host$", f"https://$host:{self.secure_port}$")
        servers = servers.replace("http://127.0.0.1:8000", upstream)
        folder.mkdir()
        if "ssl_certificate" in servers:
            make_certificate(folder, "chat.example.org")
            servers = re.sub(r"/etc/letsencrypt/\S+/", f"{folder}/", servers)
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
    if not shutil.which("openssl"):
        install("openssl")
    if not find():
        print(f"{HELP} They are skipped.")
    if not shutil.which("openssl"):
        print(f"{OPENSSL_HELP} They are skipped.")
