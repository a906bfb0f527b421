"""`archgrad serve`: what is answered, and to whom; what a run may hold, and what leads out of the directory."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import planted_runs as plant
import pytest
from serving import Server

from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.follow.serve import pages, serve
from archgrad.follow.serve.app import application
from archgrad.follow.serve.board import Board
from archgrad.follow.serve.guard import host_of
from archgrad.runs import Run

EVIL = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Asks the application of the test's own directory, without a network in between."""
    (tmp_path / "runs").mkdir()
    applications: dict[str, Any] = {}

    def asked(
        path: str, *, method: str = "GET", name: str = "localhost", host: str = "127.0.0.1", **query: str
    ) -> Answer:
        app = applications.setdefault(host, application(tmp_path / "runs", host))
        sent: list[dict[str, Any]] = []
        headers = [(b"host", name.encode("latin-1"))] if name else []
        text = "&".join(f"{key}={value}" for key, value in query.items()).encode()
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": text}
        scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "root_path": "", "server": None}

        async def receive() -> dict[str, Any]:
            while not any(message.get("body") for message in sent):
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        found = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]).decode())

    return asked


class Checked(HTMLParser):
    """Fails on anything in a page that could run a script of a run."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        assert self.tags.count("script") == 1, "the server's own"
        assert not {"img", "iframe", "object", "embed", "base"} & set(self.tags)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "action"):
                assert value is not None
                assert value.startswith(("/", "#", "data:,")), value
                assert not value.startswith("//")
                self.addresses.append(value)
        if tag == "script":
            assert attributes == [("src", "/page.js"), ("defer", "")]


def test_every_page_answers_and_says_what_browsers_may_do(ask: Ask, tmp_path: Path) -> None:
    for number in (0, 1):
        plant.search(tmp_path / "runs" / f"run-{number}", seed=number, tested=0.5 + number / 10)
    plant.proxy(tmp_path / "runs" / "proxy", [1.0, 2.0])
    for path in ("/", "/charts", "/run/run-0", "/run/proxy", "/compare", "/style.css", "/page.js", "/runs.json"):
        answer = ask(path)
        assert answer.status == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
    page = Checked(ask("/").text)
    assert page.addresses.count("/run/run-0") == 2, "its row and its point lead to it"
    assert '<a href="/run/run-1"><g class="spot' in ask("/charts").text
    records = {record["run"]: record for record in json.loads(ask("/runs.json").text)}
    assert set(records) == {"run-0", "run-1", "proxy"}
    assert records["run-1"]["score"] == 0.6
    compared = ask("/compare", run="run-0&run=run-1").text
    assert "Comparison of 2 runs" in compared
    assert "seed" in compared
    assert "Comparison of 1 runs" in ask("/compare", filter="kind%3Dproxy%20search").text
    assert ask("/compare", filter="scor%3E1").status == 400
    assert "Choose runs" in ask("/compare").text
    assert "test accuracy" in ask("/run/run-0", part="").text.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/run/../secret",
        "/run/..%2f..%2fsecret",
        "/run/%2e%2e/secret",
        "/run//etc/passwd",
        "/run/",
        "/run/.",
        "/run/..",
        "/run/linked",
        "/run/own/train/found",
        "/run/own/../../secret",
        "/run/own/config.yaml",
        "/run/\0",
        "/../../etc/passwd",
        "/etc/passwd",
    ],
)
def test_nothing_leads_out_of_the_directory(ask: Ask, tmp_path: Path, path: str) -> None:
    secret = plant.search(tmp_path / "secret", "SECRET")
    plant.search(tmp_path / "runs" / "own", tested=0.5)
    (tmp_path / "runs" / "linked").symlink_to(secret)
    answer = ask(path)
    assert answer.status == 404
    assert "SECRET" not in answer.text
    assert "root:" not in answer.text
    absolute = ask(f"/run/{secret}")
    assert absolute.status == 404
    assert ask("/compare", run=str(secret)).text.count("SECRET") == 0


def test_what_a_run_links_to_is_not_shown(ask: Ask, tmp_path: Path) -> None:
    secret = plant.search(tmp_path / "secret", "SECRET", tested=0.5)
    for name in ("result.json", "config.yaml", "metrics.jsonl", "alphas.npz", "genotype.json", "train"):
        run = plant.search(tmp_path / "runs" / name, method="honest")
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(secret / name)
    plant.search(tmp_path / "runs" / "deep", tested=0.25)
    (tmp_path / "runs" / "deep" / "train" / "random-00").symlink_to(secret / "train" / "found")
    for name in ("result.json", "config.yaml", "metrics.jsonl", "alphas.npz", "genotype.json", "train", "deep"):
        answer = ask(f"/run/{name}")
        assert answer.status == 200
        assert "is a link" in answer.text
        assert "SECRET" not in answer.text + ask("/compare", run=name).text
    assert "SECRET" not in ask("/").text + ask("/runs.json").text


def test_no_name_of_a_run_becomes_code(ask: Ask, tmp_path: Path) -> None:
    names = [EVIL.replace("/", ""), '"><b>', "javascript:alert(1)", "%3Cb%3E", "a\nb", "ä?#&run=x"]
    for number, name in enumerate(names):
        run = tmp_path / "runs" / name
        plant.search(run, EVIL, number, data=EVIL, others={EVIL: EVIL}, result={"stopped": EVIL, "undecided": EVIL})
        group = {"operations": [EVIL, "skip"], "edges": [[0, 1]], "inputs": 1}
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(
            json.dumps({**result, "space": EVIL, "groups": {EVIL: group}, "genotype": EVIL})
        )
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "config.yaml").write_text(f"a: [{EVIL}\n")
    (tmp_path / "runs" / "damaged" / ".lock").touch()
    index = Checked(ask("/").text)
    rows = [address for address in dict.fromkeys(index.addresses) if address.startswith("/run/")]
    assert len(rows) == len(names) + 1
    for address in rows:
        answer = ask(unquote(address))
        assert answer.status == 200, address
        Checked(answer.text)
    Checked(ask("/compare", filter="").text)
    (news,) = [line for line in ask("/events").text.splitlines() if line.startswith("data:")]
    for markup in json.loads(news.removeprefix("data:"))["rows"].values():
        assert "<img" not in markup
        assert "<script" not in markup
        assert "<b>" not in markup
    assert ask("/runs.json").headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"])
def test_runs_can_only_be_read(ask: Ask, tmp_path: Path, method: str) -> None:
    run = plant.search(tmp_path / "runs" / "run")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    for path in ("/", "/run/run", "/compare", "/nowhere"):
        answer = ask(path, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert ask("/run/run").status == 200
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before, "nothing is written"


@pytest.mark.parametrize(
    ("name", "host", "status"),
    [
        ("localhost", "127.0.0.1", 200),
        ("localhost:8642", "127.0.0.1", 200),
        ("127.0.0.1:1", "127.0.0.1", 200),
        ("[::1]:8642", "127.0.0.1", 200),
        ("LOCALHOST", "127.0.0.1", 200),
        ("evil.example", "127.0.0.1", 421),
        ("evil.example:8642", "127.0.0.1", 421),
        ("localhost.evil.example", "127.0.0.1", 421),
        ("127.0.0.1.evil.example", "127.0.0.1", 421),
        ("127.0.0.1@evil.example", "127.0.0.1", 421),
        ("localhost:80@evil.example", "127.0.0.1", 421),
        ("10.0.0.7", "127.0.0.1", 421),
        ("", "127.0.0.1", 421),
        (" ", "127.0.0.1", 421),
        ("[", "127.0.0.1", 421),
        ("10.0.0.7:8642", "0.0.0.0", 200),
        (socket.gethostname(), "0.0.0.0", 200),
        ("evil.example", "0.0.0.0", 421),
        ("10.0.0.7", "10.0.0.7", 200),
        ("10.0.0.8", "10.0.0.7", 421),
    ],
)
def test_only_the_servers_own_name_is_answered(ask: Ask, tmp_path: Path, name: str, host: str, status: int) -> None:
    plant.search(tmp_path / "runs" / "run")
    for path in ("/", "/run/run", "/events", "/style.css"):
        answer = ask(path, name=name, host=host)
        assert answer.status == status
        assert "content-security-policy" in answer.headers
        assert status == 200 or "run" not in answer.text


def test_a_host_header_is_split_as_it_should_be() -> None:
    assert host_of("[::1]:80") == host_of("[::1]") == "::1"
    assert host_of("localhost:") == "localhost"
    assert host_of("a:b") == ""


def test_over_a_real_connection(server: Server) -> None:
    plant.search(server.directory / "run", tested=0.5)
    secret = server.directory.parent / "secret.txt"
    secret.write_text("SECRET")
    time.sleep(1.1)  # the server looks at the disk once a second

    def get(target: str, host: str | None = None, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.putrequest(method, target, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{server.port}")
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    assert server.said.startswith(f"http://127.0.0.1:{server.port}/ shows the runs in ")
    assert get("/run/run")[0] == 200
    assert get("/run/run", method="HEAD") == (200, "")
    for target in ("/run/../secret.txt", "/run/..%2fsecret.txt", "/run/%2e%2e%2fsecret.txt", f"/run/{secret}", "/%00"):
        status, text = get(target)
        assert status == 404
        assert "SECRET" not in text
    assert get("/run/run", "evil.example")[0] == 421
    assert get("/run/run", method="DELETE")[0] == 405
    assert get("/" + "a" * 100_000)[0] == 404


def test_what_happens_is_told_as_it_happens(ask: Ask, tmp_path: Path) -> None:
    def news(**query: str) -> dict[str, Any]:
        lines = ask("/events", **query).text.splitlines()
        return next((json.loads(line[5:]) for line in lines if line.startswith("data:")), {})

    assert news() == {}
    with Run.start(tmp_path / "runs" / "run", plant.settings()) as run:
        time.sleep(1.1)
        first = news()
        assert set(first["rows"]) == {"run"}
        assert "running" in first["rows"]["run"]
        assert first["counts"] == "1 run: 1 running"
        run.log(plant.record(0))
        time.sleep(1.1)
        mark = ask("/").text.partition('data-version="')[2].partition('"')[0]
        assert news(version=mark) == {}
        run.log(plant.record(1))
        time.sleep(1.1)
        assert ">2/3<" in news(version=mark)["rows"]["run"]
        assert news(run="run") == {"changed": True}
        assert news(run="other") == {}
    boot = mark.partition(".")[0]
    for version in ("0123abcd.1", "x", "-1", f"{boot}.", f"{boot}.-1", f"{boot}.{'9' * 99}"):
        assert news(version=version) == {"again": True}, "the page is of a server that is no more"
    assert ask("/events", method="HEAD").status == 200


def test_what_is_missing_or_taken_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArchgradError, match="no such directory"):
        serve(tmp_path / "nowhere")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ArchgradError, match=r"cannot listen on 127\.0\.0\.1, port"),
    ):
        serve(tmp_path, port=taken.getsockname()[1])
    with pytest.raises(ArchgradError, match="port must be a whole number"):
        serve(tmp_path, port=70_000)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path)])
    error = capsys.readouterr().err
    assert error == "archgrad: serve needs Starlette and uvicorn: pip install 'archgrad[serve]'\n"


def test_pages_of_a_thousand_runs_take_less_than_a_second(tmp_path: Path) -> None:
    first = plant.search(tmp_path / "0", tested=0.5)
    config = (first / "config.yaml").read_text()
    for number in range(1, 1000):
        run = tmp_path / str(number)
        (run / "train" / "found").mkdir(parents=True)
        for name in ("result.json", "metrics.jsonl", "train/found/result.json"):
            (run / name).write_bytes((first / name).read_bytes())
        (run / "config.yaml").write_text(config.replace("lr: 0.025", f"lr: {number / 1000}"))
    board = Board(tmp_path)
    board.refresh()
    pages.compare(board.entries()[:2])  # whatever is imported on the way
    times = []
    for make in (lambda: pages.index(board), lambda: pages.compare(board.entries())):
        started = time.process_time()
        text = make()
        times.append(time.process_time() - started)
        assert len(text) > 100_000
    assert max(times) < 1, times


@pytest.mark.slow
def test_an_interrupted_server_ends_quietly_whoever_listens(tmp_path: Path) -> None:
    own = Server(tmp_path)
    with urllib.request.urlopen(f"{own.address}/events", timeout=60) as listening:
        listening.readline()
        own.process.send_signal(signal.SIGINT)
        _, error = own.process.communicate(timeout=60)
    assert (own.process.returncode, error) == (0, "")
