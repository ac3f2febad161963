"""A small local server that speaks the Hugging Face hub's protocol, for tests without a network.

``with serve(folder) as (address, requests)``: what lies in ``folder/owner/name`` is the model
``owner/name``, at the revision ``main`` and at every name in ``revisions``; what lies in
``folder/datasets/owner/name`` is a data set. Point ``HF_ENDPOINT`` at ``address`` before
`huggingface_hub` is imported, that is: in a process of its own.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit


class HubHandler(BaseHTTPRequestHandler):
    """Answers ``/api/models/<id>/revision/<r>``, ``/api/models/<id>/tree/<r>`` and ``/<id>/resolve/<r>/<file>``."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, home: Path, revisions: tuple[str, ...], requests: list[str]):
        self.home, self.revisions, self.requests = home, revisions, requests
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        api = parts[0] == "api"
        parts = [part for part in parts if part not in ("api", "models")] if api else parts
        kind = [parts.pop(0)] if parts[0] == "datasets" else []
        folder = self.home.joinpath(*kind, *parts[:2])
        verb, revision = (*parts[2:4], "main", "main")[:2] if len(parts) > 3 else ("revision", "main")
        if not folder.is_dir():
            self._refuse("RepoNotFound")
        elif revision not in ("main", self._commit(folder), *self.revisions):
            self._refuse("RevisionNotFound")
        elif api and verb == "tree":
            self._answer_json([self._entry(folder, file) for file in _files(folder)])
        elif api:
            names = [{"rfilename": str(file.relative_to(folder))} for file in _files(folder)]
            self._answer_json({"id": "/".join(parts[:2]), "sha": self._commit(folder), "siblings": names})
        elif (file := folder.joinpath(*parts[4:])).is_file():
            self._answer(file.read_bytes(), self._commit(folder))
        else:
            self._refuse("EntryNotFound", self._commit(folder))

    do_HEAD = do_GET

    def _answer(self, content: bytes, commit: str, kind: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _answer_json(self, content: object) -> None:
        self._answer(json.dumps(content).encode(), "", "application/json")

    def _refuse(self, code: str, commit: str = "") -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @staticmethod
    def _commit(folder: Path) -> str:
        """One commit per content."""
        digest = hashlib.sha1()
        for file in _files(folder):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
        return digest.hexdigest()

    @staticmethod
    def _entry(folder: Path, file: Path) -> dict:
        content = file.read_bytes()
        name = str(file.relative_to(folder))
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def log_message(self, *_) -> None:
        """Quiet."""


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def serve(folder: Path, revisions: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on a free port of this machine; yields the address and the requests so far."""
    requests: list[str] = []
    handler = partial(HubHandler, home=Path(folder), revisions=revisions, requests=requests)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()
