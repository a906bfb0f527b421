"""The page in a browser: it follows what happens, opens, sorts, filters and compares, on desks and phones."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import planted_runs as plant
import pytest
from browser import Browser
from serving import Server

from archgrad.follow.serve import pages
from archgrad.runs import Run

EVIL = "<img src=x onerror='window.fired=1'>"


@pytest.fixture
def runs(server: Server, browser: Browser) -> Iterator[Path]:
    """The served directory, with four runs."""
    place = server.directory
    if not (place / "darts").exists():
        for number, (method, score) in enumerate({"darts": 0.8, "gdas": 0.9, "drnas": 0.7}.items()):
            plant.search(place / method, method, number, tested=score)
        plant.search(place / f"evil {EVIL}", EVIL, data=EVIL, tested=0.6)
        time.sleep(1.1)  # the server looks at the disk once a second
    browser.console.clear()
    yield place
    assert browser.console == [], "nothing went wrong in the page, and no script was refused"
    assert browser.ask("window.fired") is None


def row(browser: Browser, name: str) -> str:
    """What a row says."""
    return str(browser.ask(f"document.querySelector('tr[data-run=\"{name}\"]')?.innerText ?? ''")).replace("\t", " ")


def test_a_search_appears_goes_on_and_ends_without_a_reload(server: Server, browser: Browser, runs: Path) -> None:
    browser.size(1280, 900)
    browser.open(server.address)
    browser.ask("window.same = true")
    run = Run.start(runs / "new", plant.settings("pc_darts", epochs=4))
    browser.wait("document.querySelector('tr[data-run=\"new\"]')?.innerText.includes('running')")
    for epoch in range(4):
        run.log(plant.record(epoch, 0.125 * (epoch + 1)))
        browser.wait(f"document.querySelector('tr[data-run=\"new\"]').innerText.includes('{epoch + 1}/4')")
    assert "50.00%" in row(browser, "new")
    plant.finish(run, 4)
    run.close()
    browser.wait("document.querySelector('tr[data-run=\"new\"]').innerText.includes('finished')")
    assert browser.ask("window.same") is True
    assert "1 running" not in browser.ask("document.getElementById('counts').textContent")


def test_the_page_of_a_run_goes_on(server: Server, browser: Browser, runs: Path) -> None:
    with Run.start(runs / "slow", plant.settings(epochs=9)) as run:
        run.log(plant.record(0))
        time.sleep(1.1)
        browser.open(f"{server.address}/run/slow")
        browser.ask("document.querySelector('details').open = true; window.same = true")
        for epoch in range(1, 3):
            run.log(plant.record(epoch))
        browser.wait("document.querySelector('.progress').innerText.includes('3/9 epochs')")
        assert browser.ask("document.querySelector('details').open && window.same")
    browser.wait("document.querySelector('.progress').innerText.includes('stopped')")


def test_points_lead_to_runs_and_runs_to_a_comparison(server: Server, browser: Browser, runs: Path) -> None:
    browser.size(1280, 900)
    browser.open(server.address)
    point = "document.querySelector('#charts a[href=\"/run/gdas\"] circle')"
    browser.wait(f"{point} !== null")
    browser.ask(f"{point}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    browser.wait("location.pathname === '/run/gdas' && document.readyState === 'complete'")
    assert "90.00" in browser.ask("document.body.innerText")
    assert browser.ask("document.querySelectorAll('.on-wide svg.cell .edge').length") == len(plant.GROUP.edges)

    browser.open(server.address)
    order = "[...document.querySelectorAll('#rows tr')].filter(r => !r.hidden).map(r => r.dataset.run)"
    browser.ask("document.querySelectorAll('th button')[7].click()")
    best = [name for name in browser.ask(order) if name in ("darts", "gdas", "drnas")]
    assert best == ["gdas", "darts", "drnas"]
    browser.ask("const f = document.getElementById('filter'); f.value = 'GDAS'; f.dispatchEvent(new Event('input'))")
    assert browser.ask(order) == ["gdas"]
    browser.ask("f.value = ''; f.dispatchEvent(new Event('input'))")
    for name in ("gdas", "darts"):
        browser.ask(f"document.querySelector('tr[data-run=\"{name}\"] input').click()")
    browser.ask("document.querySelector('.tools button').click()")
    browser.wait("location.pathname === '/compare' && document.readyState === 'complete'")
    text = browser.ask("document.body.innerText")
    assert "Comparison of 2 runs" in text
    assert "method.name" in text


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_pages_fit_on_desks_and_phones_by_day_and_night(
    server: Server, browser: Browser, runs: Path, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    browser.size(width, height, dark)
    for path in ("/", "/run/gdas", "/compare?run=gdas&run=darts", "/run/drnas/nowhere"):
        browser.open(server.address + path)
        assert browser.ask("document.documentElement.scrollWidth") <= width, path
        light = browser.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(light) < 384) == dark
        assert browser.picture(tmp_path / "page.png").stat().st_size > 5_000
        browser.console[:] = [line for line in browser.console if "404" not in line]
    browser.open(server.address)
    names = browser.ask("[...document.querySelectorAll('#rows td:nth-child(9)')].every(c => c.offsetWidth > 0)")
    assert names, "scores are seen on every screen"


@pytest.mark.slow
def test_a_real_search_is_followed(server: Server, browser: Browser, runs: Path) -> None:
    browser.size(390, 844)
    browser.open(server.address)
    command = [sys.executable, "-m", "archgrad", "search", "--channels", "2", "--cells", "1", "--epochs", "500"]
    command += ["--device", "cpu", "--out", str(runs / "real")]
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        state = "document.querySelector('tr[data-run=\"real\"]')?.innerText ?? ''"
        browser.wait(f"({state}).includes('running')", 120)
        browser.wait(f"/[1-9][0-9]*\\/500/.test({state})", 120)
        browser.open(f"{server.address}/run/real")
        browser.wait("document.querySelectorAll('.multiples svg').length === 6", 60)
        browser.wait("/([2-9]|[1-9][0-9]+)\\/500 epochs/.test(document.querySelector('.progress').innerText)", 120)
    finally:
        search.kill()
        search.wait()
    browser.wait("document.querySelector('.progress').innerText.includes('stopped')")


@pytest.mark.slow
def test_many_runs_are_all_there_and_a_server_that_is_gone_is_said_to_be(browser: Browser, tmp_path: Path) -> None:
    first = plant.search(tmp_path / "0")
    for number in range(1, 3 * pages.AT_ONCE):
        shutil.copytree(first, tmp_path / str(number))
    own = Server(tmp_path)
    try:
        browser.open(own.address)
        browser.wait(f"document.querySelectorAll('#rows tr').length === {3 * pages.AT_ONCE}")
        browser.wait("document.getElementById('gone').hidden")
        threading.Timer(0.1, own.process.terminate).start()
        browser.wait("!document.getElementById('gone').hidden")
    finally:
        own.close()
    browser.open("about:blank#")
    browser.console.clear()
