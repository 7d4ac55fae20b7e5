"""A server that answers as the hub does for one repository: `python pretend_hub.py FOLDER REVISION [KIND/OWNER/NAME]`.

The repository is datasets/Salesforce/wikitext unless another is named. It prints its port and serves until it is ended.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

FOLDER, REVISION = Path(sys.argv[1]), sys.argv[2]
KIND, _, REPOSITORY = (sys.argv[3] if len(sys.argv) > 3 else "datasets/Salesforce/wikitext").partition("/")


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        prefix = "" if KIND == "models" else f"/{KIND}"
        resolve, tree = f"{prefix}/{REPOSITORY}/resolve/{REVISION}/", f"/api/{KIND}/{REPOSITORY}/tree/{REVISION}"
        if path.startswith(resolve):
            self.send_file(FOLDER / path.removeprefix(resolve))
        elif path.startswith(tree):
            self.send_json([entry(item) for item in children(FOLDER / path.removeprefix(tree).lstrip("/"))])
        elif path.startswith(f"/api/{KIND}/{REPOSITORY}"):
            files = [{"rfilename": str(file.relative_to(FOLDER))} for file in FOLDER.rglob("*") if file.is_file()]
            self.send_json({"id": REPOSITORY, "sha": REVISION, "siblings": files, "private": False, "tags": []})
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def send_file(self, file: Path) -> None:
        if file.is_file():
            tag = f'"{hashlib.sha1(file.read_bytes()).hexdigest()}"'
            self.answer(200, file.read_bytes(), {"X-Repo-Commit": REVISION, "ETag": tag})
        else:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION})

    def send_json(self, content: object) -> None:
        self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def entry(path: Path) -> dict[str, object]:
    name = str(path.relative_to(FOLDER))
    oid = hashlib.sha1(name.encode()).hexdigest()
    size = path.stat().st_size if path.is_file() else 0
    return {"type": "file" if path.is_file() else "directory", "path": name, "oid": oid, "size": size}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
