"""A registry of one image that wants a name and a password, run in a pod by test_workloads.py. It serves the files of
a folder: `manifest.json`, and blobs named like their digests.
"""

import base64
import http.server
import shutil
import sys
from pathlib import Path

FOLDER, PORT, WANTED = Path(sys.argv[1]), int(sys.argv[2]), f"Basic {base64.b64encode(sys.argv[3].encode()).decode()}"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry(http.server.BaseHTTPRequestHandler):
    """As much of the distribution protocol as pulling takes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The manifest, a blob, or a refusal."""
        kind, _, name = self.path.partition("?")[0].rpartition("/")
        file = FOLDER / ("manifest.json" if kind.endswith("/manifests") else name.replace(":", "-"))
        if self.headers["Authorization"] != WANTED:
            self.answer(401, {"WWW-Authenticate": 'Basic realm="private"'})
        elif not name:
            self.answer(200, {})
        elif not file.is_file():
            self.answer(404, {})
        else:
            kind = MANIFEST if file.name == "manifest.json" else "application/octet-stream"
            self.answer(200, {"Content-Type": kind}, file)

    do_HEAD = do_GET

    def answer(self, status: int, headers: dict[str, str], file: Path | None = None) -> None:
        """Send it all."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(file.stat().st_size if file is not None else 0))
        self.end_headers()
        if file is not None and self.command == "GET":
            with file.open("rb") as source:
                shutil.copyfileobj(source, self.wfile)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Registry).serve_forever()
