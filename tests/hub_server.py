"""A small local server that speaks the Hugging Face hub's protocol, for tests without a network.

``with serve(folder) as (address, requests)``: what lies in ``folder/owner/name`` is the model
``owner/name``, at the revision ``main`` and at every name in ``revisions``; what lies in
``folder/datasets/owner/name`` is a data set. Point ``HF_ENDPOINT`` at ``address`` before
`huggingface_hub` is imported, that is: in a process of its own. Weights and tables are large files
(LFS): the hub answers for them with a redirection to a store, here to ``/store/…``. Models can be
uploaded; then every file, however large, is asked for within the commit.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".parquet")


@dataclass
class Faults:
    """What goes wrong, by file name; may be changed while the server runs.

    Attributes:
        cut: how many more answers with this file's content break off halfway.
        corrupt: files of which one byte arrives changed.
        gone: files that are listed and not handed out (404).
    """

    cut: dict[str, int] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


class HubHandler(BaseHTTPRequestHandler):
    """``/api/{models,datasets}/<id>/{revision,tree,paths-info}/<r>``, ``/<id>/resolve/<r>/<file>``, ``/store``.

    To upload: ``/api/repos/create``, ``/api/validate-yaml``, ``/api/models/<id>/{preupload,commit}/main``.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, home: Path, revisions: tuple[str, ...], requests: list[str], faults: Faults):
        self.home, self.revisions, self.requests, self.faults = home, revisions, requests, faults
        super().__init__(*arguments)

    def do_GET(self) -> None:
        piece = self.headers.get("Range")
        self.requests.append(f"{self.command} {self.path}{f' {piece}' if piece else ''}")
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        if parts[0] == "store":
            return self._hand_out(self.home.joinpath(*parts[1:]))
        api = parts[0] == "api"
        parts = parts[1:] if api else parts
        kind = [parts.pop(0)] if parts[0] in ("models", "datasets") else ["models"]
        folder = self.home.joinpath(*(kind if kind == ["datasets"] else []), *parts[:2])
        verb, revision = parts[2:4] if len(parts) > 3 else ("revision", "main")
        file = folder.joinpath(*parts[4:])
        if len(parts) < 2 or not folder.is_dir():
            self._refuse("RepoNotFound")
        elif revision not in ("main", _commit(folder), *self.revisions):
            self._refuse("RevisionNotFound")
        elif api:
            self._describe(verb, folder, file, "/".join(parts[:2]))
        elif not file.is_file() or file.name in self.faults.gone:
            self._refuse("EntryNotFound", _commit(folder))
        elif file.name.endswith(LARGE):
            self._redirect(file, _commit(folder))
        else:
            self._hand_out(file, _commit(folder))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        parts = urlsplit(self.path).path.split("/")[2:]  # after /api
        if "paths-info" in parts:
            return self.do_GET()
        self.requests.append(f"{self.command} {self.path}")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        address = f"http://{self.headers['Host']}"
        if parts == ["repos", "create"]:
            asked = json.loads(content)
            name = f"{asked['organization']}/{asked['name']}"
            (self.home / name).mkdir(parents=True, exist_ok=True)
            return self._answer_json({"url": f"{address}/{name}"})
        if parts == ["validate-yaml"]:
            return self._answer_json({"errors": [], "warnings": []})
        if parts[3] == "preupload":
            way = {"uploadMode": "regular", "shouldIgnore": False}
            return self._answer_json({"files": [{"path": file["path"]} | way for file in json.loads(content)["files"]]})
        folder = self.home.joinpath(*parts[1:3])
        for line in map(json.loads, content.splitlines()):
            if line["key"] == "file":
                file = folder / line["value"]["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(base64.b64decode(line["value"]["content"]))
        commit = _commit(folder)
        self._answer_json({"commitUrl": f"{address}/{'/'.join(parts[1:3])}/commit/{commit}", "commitOid": commit})

    def _describe(self, verb: str, folder: Path, place: Path, name: str) -> None:
        if verb == "paths-info":
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            paths = json.loads(asked)["paths"] if asked.startswith("{") else parse_qs(asked)["paths"]
            places = [folder / path for path in paths]
            return self._answer_json([_entry(folder, place) for place in places if place.exists()])
        if verb == "tree":
            if not place.is_dir():
                return self._refuse("EntryNotFound", _commit(folder))
            deep = "recursive=true" in self.path.lower()
            return self._answer_json([_entry(folder, one) for one in sorted(place.glob("**/*" if deep else "*"))])
        names = [{"rfilename": str(file.relative_to(folder))} for file in _files(folder)]
        self._answer_json({"id": name, "sha": _commit(folder), "siblings": names})

    def _redirect(self, file: Path, commit: str) -> None:
        self.send_response(302)
        store = f"http://localhost:{self.server.server_port}/store/"  # another host, as the real one
        self.send_header("Location", store + quote(str(file.relative_to(self.home))))
        self.send_header("X-Linked-ETag", f'"{_checksum(file)}"')
        self.send_header("X-Linked-Size", str(file.stat().st_size))
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _hand_out(self, file: Path, commit: str = "") -> None:
        content = file.read_bytes()
        etag = _checksum(file)
        if file.name in self.faults.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start, end = 0, len(content)
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last) + 1 if last else end, end)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("ETag", f'"{etag}"')
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command != "GET":
            return
        if self.faults.cut.get(file.name, 0) > 0:
            self.faults.cut[file.name] -= 1
            self.close_connection = True  # in the middle of what was promised
            end = (start + end) // 2
        self.wfile.write(content[start:end])

    def _answer_json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, code: str, commit: str = "") -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        """Quiet."""


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _commit(folder: Path) -> str:
    """One commit per content."""
    digest = hashlib.sha1()
    for file in _files(folder):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def _checksum(file: Path) -> str:
    """sha256 of large files, as the store's; of others git's sha1."""
    content = file.read_bytes()
    if file.name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(folder: Path, place: Path) -> dict:
    """What the hub's lists say about a file or a folder."""
    path = str(place.relative_to(folder))
    if place.is_dir():
        return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
    size, checksum = place.stat().st_size, _checksum(place)
    entry = {"type": "file", "path": path, "size": size, "oid": checksum[:40]}
    large = {"lfs": {"oid": checksum, "size": size, "pointerSize": 134}} if path.endswith(LARGE) else {}
    return entry | large


@contextmanager
def serve(
    folder: Path, revisions: tuple[str, ...] = (), faults: Faults | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on a free port of this machine; yields the address and the requests so far."""
    requests: list[str] = []
    settings = {"home": Path(folder), "revisions": revisions, "requests": requests, "faults": faults or Faults()}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(HubHandler, **settings)) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()
