"""The model in the reader's Firefox, where there is one: it is asked over WebDriver BiDi, which it speaks by itself."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.conftest import PATIENCE
from tests.test_live_pages import OWN, expected

FIREFOX = Path("/usr/bin/firefox-esr")
#: Without these Firefox asks its maker's hosts for news.
SETTINGS = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.startup.homepage": "about:blank",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
pytestmark = [
    pytest.mark.pages,
    pytest.mark.xdist_group("firefox"),
    pytest.mark.skipif(not FIREFOX.exists(), reason=f"Firefox is left out: there is no {FIREFOX}"),
]


def free_port() -> int:
    """Return a port that nobody uses: another Firefox may be running."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


SOON = "const find = (it) => document.querySelector(it), soon = () => new Promise((done) => setTimeout(done, 20));"
#: Wakes the model; gives what the page says then, if it is not awake.
WAKE = f"""(async () => {{ {SOON}
    while (!find('.gfp-wake')) await soon();
    find('.gfp-wake').click();
    while (!find('html.gfp-awake')) {{
        if (find('.gfp-wake')) return find('.gfp-live-bar').textContent;
        await soon();
    }}
    return ''; }})()"""
#: Puts texts, numbers and places of menus into the controls of a page's box; gives what it asks, and its answer.
ASK = f"""(async (chosen) => {{ {SOON}
    const idle = async () => {{ do await soon(); while (find('[aria-busy=true]')); }};
    await idle();
    for (const [name, value] of Object.entries(chosen)) {{
        const control = find(`.gfp-arg-${{name}}`), slider = control.querySelector('.noUi-target');
        const field = control.querySelector('select, input, textarea');
        if (slider) slider.noUiSlider.set(value);
        else if (field.matches('select')) field.selectedIndex = value;
        else field.value = value;
        field?.dispatchEvent(new Event(field.matches('select') ? 'change' : 'input', {{bubbles: true}}));
        await idle();
    }}
    const asks = find('.gfp-ask');
    return JSON.stringify([asks.dataset.ask, asks.gfpAnswer]); }})"""


class Firefox:
    """One tab of a Firefox; ``log`` has what it asked for and what it complained of."""

    def __init__(self, port: int) -> None:
        address, deadline = f"ws://127.0.0.1:{port}/session", time.monotonic() + PATIENCE
        while True:
            try:
                self.socket = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self.number = 0
        self.log: list[dict[str, Any]] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.tab = self.send("browsingContext.create", type="tab")["context"]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while (said := json.loads(self.socket.recv())).get("id") != self.number:
            self.log.append(said)
        assert said["type"] == "success", said
        result: dict[str, Any] = said["result"]
        return result

    def open(self, address: str) -> None:
        self.log.clear()
        self.send("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def run(self, script: str) -> Any:
        said = self.send("script.evaluate", expression=script, target={"context": self.tab}, awaitPromise=True)
        assert said["type"] == "success", said
        return said["result"]["value"]

    def faults(self, origin: str) -> list[str]:
        """Return what left the site, and the errors."""
        found = []
        for one in self.log:
            if one["method"] == "network.beforeRequestSent":
                url = one["params"]["request"]["url"]
                found += [] if url.startswith((origin, "data:", "blob:")) else [url]
            elif one["params"].get("level") == "error":
                found.append(one["params"]["text"])
        return found


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    profile = tmp_path_factory.mktemp("profile")
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in SETTINGS.items())
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")
    command: list[str | Path] = [
        FIREFOX,
        "--headless",
        "--no-remote",
        "--profile",
        profile,
        "--remote-debugging-port",
    ]
    port = free_port()
    command.append(str(port))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield Firefox(port)
        finally:
            process.terminate()


@pytest.mark.parametrize("way", ["file", "http"])
@pytest.mark.parametrize("name", OWN)
def test_firefox_gives_the_picture_of_this_python(
    firefox: Firefox, origins: dict[str, str], name: str, way: str
) -> None:
    firefox.open(origins[way] + name)
    assert firefox.run(WAKE) == ""
    chosen = OWN[name][0]
    asks, answer = json.loads(firefox.run(f"{ASK}({json.dumps(chosen)})"))
    assert answer == expected(asks, chosen)["html"]
    assert not firefox.faults(origins[way])
