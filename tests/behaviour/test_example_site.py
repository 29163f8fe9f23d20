"""examples/site: a site of pages, served by a real web server in the four ways that its scripts show."""

import http.client
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Watched, expect, finish, status_of
from tests.behaviour.project import Project

EXAMPLE = Path(__file__).parents[2] / "examples/site"
MADE_HERE = shutil.ignore_patterns(".redo", "*.html", "lighttpd.conf", "pages", "*.log", "*.pid")
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    shutil.which("lighttpd", path=PATH) is None, reason="needs lighttpd (Debian's package of that name)"
)


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Two that nobody else is given meanwhile; who sets SO_REUSEADDR can have them, as lighttpd does."""
    with socket.socket() as one, socket.socket() as other:
        for held in (one, other):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
        yield [held.getsockname()[1] for held in (one, other)]


@pytest.fixture
def port(ports: list[int]) -> int:
    return ports[0]


@pytest.fixture
def site(project: Project, port: int) -> Iterator[Project]:
    """A copy of the example on a port of its own. What still serves there in the end is ended."""
    shutil.copytree(EXAMPLE, project.path, ignore=MADE_HERE, dirs_exist_ok=True)
    project.write("port", f"{port}\n")
    yield project
    for server in servers(project):
        server.kill()


def servers(project: Project) -> list[Watched]:
    """The web servers that run in the project's directory."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            is_ours = (process / "comm").read_text() == "lighttpd\n" and (process / "cwd").readlink() == project.path
            if process.name.isdigit() and is_ours:
                found.append(Watched(int(process.name)))
        except OSError:
            continue
    return found


def fetch(port: int, page: str = "/") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", page)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def fetch_when_it_listens(port: int) -> str:
    """For servers that nobody tells to be ready."""
    while True:
        try:
            return fetch(port)
        except ConnectionRefusedError:
            continue


def test_a_service_serves_what_is_built_and_is_started_again_for_a_new_config(site: Project, ports: list[int]) -> None:
    port, other = ports
    assert sorted(site.redo("all", "serve")) == [
        "all", "html/index.html", "html/story.html", "lighttpd.conf", "pages", "serve"
    ]  # fmt: skip
    assert "<h1>A small site</h1>" in fetch(port)
    assert "<h1>Why redo waits</h1>" in fetch(port, "/story.html")
    (before,) = servers(site)

    site.write("index.gmi", "# Another title\n")
    assert sorted(site.redo("all", "serve")) == ["all", "html/index.html", "pages"]
    assert "<h1>Another title</h1>" in fetch(port)
    assert before.is_alive

    site.write("port", f"{other}\n")
    assert sorted(site.redo("all", "serve")) == ["lighttpd.conf", "pages", "serve"]
    assert "<h1>Another title</h1>" in fetch(other)
    before.wait_end()
    (after,) = servers(site)

    assert site.redo("serve") == []
    site.run("redod", "stop", check=True)
    after.wait_end()


def test_a_new_page_is_on_all_pages(site: Project, port: int) -> None:
    site.redo("all", "serve")
    site.write("news.gmi", "# News\n* one\n* two\n\n=> index.html Home\n> said\n```\na < b\n```\n")
    site.redo("all")
    page = fetch(port, "/news.html")
    assert "<ul>\n<li>one</li>\n<li>two</li>\n</ul>" in page
    assert "<pre>\na &lt; b\n</pre>" in page
    assert '<a href="news.html">news</a>' in fetch(port)


def test_the_naive_way_shows_who_holds_the_target_and_ctrl_c_ends_both(site: Project, port: int) -> None:
    site.redo("all")
    client = site.start("redo", "serve-naive")
    seen = expect(client, b"Ctrl-C")
    assert b"what it started still holds the target open" in seen
    assert re.search(rb"pid \d+, \d+ s old: lighttpd -D -f lighttpd.conf", seen)
    (server,) = servers(site)
    assert "<h1>" in fetch_when_it_listens(port)
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    server.wait_end()


@pytest.mark.parametrize("target", ["serve-subshell", "serve-detach"])
def test_a_server_that_was_let_go_holds_nothing_and_outlives_the_build(site: Project, port: int, target: str) -> None:
    site.redo("all")
    result = site.run("redo", target, check=True)
    assert b"holds the target" not in result.stderr
    assert "<h1>A small site</h1>" in fetch_when_it_listens(port)
    assert status_of(site)["jobs"] == []
    site.run("redod", "stop", check=True)
    (server,) = servers(site)
    server.kill()
    server.wait_end()
