"""The reference pages in a real browser: links explain themselves."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.test_pages import Visits

pytestmark = pytest.mark.pages

TERM = ("book/glossary.html", "a[href='#term-wait-type']", "does one spin always")
SOURCE = ("book/index.html", "a[href*='bibliography.html#']", "linux-kernel")


def shows(page: Page, text: str) -> None:
    expect(page.get_by_role("tooltip")).to_contain_text(text, ignore_case=True)


@pytest.mark.parametrize("way", ["http", "file"])
@pytest.mark.parametrize("what", [TERM, SOURCE], ids=["term", "source"])
def test_a_link_explains_itself(visits: Visits, what: tuple[str, str, str], way: str) -> None:
    name, link, text = what
    visit = visits(way)
    page = visit.open(name)
    tip = page.get_by_role("tooltip")
    expect(tip).to_have_count(0)
    page.locator(link).first.hover()
    shows(page, text)
    page.mouse.move(0, 0)
    expect(tip).to_have_count(0)
    page.locator(link).first.focus()
    shows(page, text)
    assert page.locator(link).first.get_attribute("aria-describedby") == tip.locator("..").get_attribute("id")
    assert tip.locator("a, [id]").count() == 0
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    assert not visit.faults
