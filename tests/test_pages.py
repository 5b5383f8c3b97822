"""Every page of the built book in a real browser: nothing leaves the site, nothing fails, every widget moves.

``make book`` comes first. Without a built book or a Chromium these tests are skipped, except where CI is set.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import links
import pypdfium2
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import WIDGETS_READY, Visit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
SHOTS = ROOT / "_build" / "screenshots"
PAPERS = ROOT / "_build" / "pdf"
AXE = ROOT / "tests" / "vendor" / "axe.min.js"
# files below _static are the theme's templates, not pages
PAGES = sorted(
    page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html") if page.relative_to(SITE).parts[0] != "_static"
) or ["no page"]
#: What the widgets of a page show: pictures and texts, not the controls themselves.
SHOWN = """() => [...document.querySelectorAll('.widget-html-content, .jupyter-widgets img, .widget-image')]
    .filter(e => e.checkVisibility()).map(e => e.src || e.innerHTML).join('\\n')"""
#: The same in words: scripts of the page add attributes to what is shown.
SAID = SHOWN.replace("e.src || e.innerHTML", "e.src || e.textContent")
#: The same once nothing changes it any more: a control may change several pictures, one after the other.
SETTLED = f"""async () => {{ for (let before = null, now; ; before = now) {{
    now = ({SAID})(); if (now === before) return now; await new Promise(done => setTimeout(done, 400)); }} }}"""
SELECTS = ".jupyter-widgets select"
# what needs a kernel is hidden here, and would not move anything
HANDLES = ".jupyter-widgets .noUi-handle:not(.gfp-live-only *)"
UNNAMED = """() => [...document.querySelectorAll('article img, article svg')]
    .filter(e => !e.closest('[aria-hidden=true], mjx-container, button, .headerlink'))
    .filter(e => !(e.getAttribute('alt') || e.getAttribute('aria-label') || e.querySelector?.('title')))
    .map(e => e.outerHTML.slice(0, 120))"""
UNFOLD = """async () => {
    document.querySelectorAll('details').forEach(e => { e.open = true; });
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    document.getAnimations().forEach(e => e.finish()); }"""  # what fades in has no contrast yet
#: The rules that compare colours, with what they look at: they take most of the time of axe.  They find the same in two
#: elements that look alike, as all around them does: they are asked of the first of each kind, once a scheme.
COLOURS = {
    "color-contrast": "[data-asked]",
    "link-in-text-block": "a[href][data-asked], [role=link][data-asked]",
}
#: The first text of each look that was not yet seen in this scheme.  In a drawing each text has its own background.
TEXTS = """scheme => {
    const names = window.names ??= new Map(), seen = (window.seen ??= {})[scheme] ??= new Set(), looks = new Map();
    const shown = e => e.checkVisibility({visibilityProperty: true});
    const says = e => e.matches('input, textarea, select, button')
        || [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
    const look = e => {
        if (!e || looks.has(e)) return looks.get(e);
        const s = getComputedStyle(e), large = parseFloat(s.fontSize) / (s.fontWeight >= 700 ? 14 : 18) >= 96 / 72;
        const whole = [look(e.parentElement), e.tagName, e.getAttribute('class'), s.color, s.backgroundColor,
            s.backgroundImage, s.opacity, s.textDecorationLine, large, shown(e)].join('|');
        if (!names.has(whole)) names.set(whole, names.size);
        looks.set(e, names.get(whole));
        return looks.get(e);
    };
    const asks = e => e.closest('svg') || (!seen.has(look(e)) && seen.add(look(e)));
    return [...document.body.querySelectorAll('*')].filter(e => says(e) && shown(e) && asks(e)); }"""
#: What axe-core finds: by the rules of colours in those texts, and by all others where the colours are those of day,
#: because no other rule asks for colours.  In one run, for which axe reads the page once.  "region", a quarter of the
#: time of the others, is of a weight (moderate) that no test asks for.
SHUT_OUT = f"""async scheme => {{
    const texts = ({TEXTS})(scheme), asked = texts.flatMap(e => [e, ...e.querySelectorAll('*')]);
    const colours = {json.dumps(COLOURS)}, day = scheme === 'light';
    if (!day && !texts.length) return [];
    axe.configure({{rules: Object.entries(colours).map(([id, selector]) => ({{id, selector}}))}});
    asked.forEach(e => {{ e.dataset.asked = ''; }});
    const rules = day ? {{rules: {{region: {{enabled: false}}}}}} : {{runOnly: Object.keys(colours)}};
    const {{violations}} = await axe.run(document, {{...rules, resultTypes: ['violations'], preload: false}});
    asked.forEach(e => {{ delete e.dataset.asked; }});
    return violations.filter(v => ['serious', 'critical'].includes(v.impact)).flatMap(v =>
        v.nodes.map(n => `${{v.id}}: ${{n.target}}: ${{n.html.slice(0, 120)}}: ${{n.failureSummary}}`)); }}"""
#: What stands over the right edge of the paper and is seen there.
CUT_OFF = """() => [...document.querySelectorAll('article *')]
    .filter(e => e.checkVisibility() && !e.closest('mjx-assistive-mml, .visually-hidden'))
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(e => e.outerHTML.slice(0, 120))"""
#: Words of a figure that are smaller than can be read beside the text, in CSS pixels.
SMALL = """() => [...document.querySelectorAll('article svg text, article .gfp-word i')]
    .filter(e => e.checkVisibility() && !e.closest('mjx-container') && e.textContent.trim())
    .map(e => [parseFloat(getComputedStyle(e).fontSize), e.getScreenCTM?.(), e.textContent.trim()])
    .map(([size, m, said]) => [size * (m ? Math.hypot(m.c, m.d) : 1), said])
    .filter(([size]) => size < 11.9).map(([size, said]) => `${size.toFixed(1)} px: ${said}`)"""
#: What goes on beyond its own edge, where nothing says so: a box that scrolls has a shadow there (book.css).
CUT = """() => [...document.querySelectorAll('article *')]
    .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 2 && e.clientWidth > 1)
    .filter(e => !e.closest('mjx-container, .visually-hidden, .gfp-heard, svg, select, textarea, input, .tippy-box'))
    .filter(e => { const s = getComputedStyle(e);
        return s.overflowX !== 'visible' && !s.backgroundAttachment.includes('local'); })
    .map(e => e.outerHTML.slice(0, 160))"""
#: Whether a picture of every page is kept, and not only of one in which something is wrong.
PICTURES = bool(os.environ.get("GFPMODEL_PICTURES"))
MOST_BYTES = 3_000_000
#: Width of A4 without the margins of book.css, in CSS pixels.
PAPER = 680
#: What the sidebars, the header and the buttons say.
NAVIGATION = ("Skip to main content", "Ctrl+K", "Show code cell", "Click to show", "Contents By the", "Back to top")

pytestmark = pytest.mark.pages

Visits = Callable[..., Visit]


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in PAGES])
def opened(request: pytest.FixtureRequest, visits: Visits) -> Visit:
    """Return a page of the book, opened once for all the tests that look at it; what moves it comes last.

    What fades in has no contrast yet, which axe would measure.
    """
    visit = visits("file", reduced_motion="reduce")
    visit.name = request.param
    visit.open(visit.name, until="networkidle")
    return visit


@pytest.mark.xdist_group("one")
def test_a_group_stays_with_one_worker(request: pytest.FixtureRequest) -> None:
    """pytest-xdist tells groups by names: where those do not say it, all workers open each page, and nothing shows."""
    assert request.node.nodeid.endswith("@one") or not getattr(request.config.option, "loadgroup", False)


def keep_picture(page: Page, name: str, *, wrong: bool) -> None:
    """Keep a picture of a page in which something is wrong, or of any where that is asked for."""
    if PICTURES or wrong:
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def wait_for_change(page: Page, before: str, control: str) -> str:
    try:
        page.wait_for_function(f"before => ({SHOWN})() !== before", arg=before)
    except Exception as error:
        raise AssertionError(f"{control}: nothing on the page changes") from error
    return str(page.evaluate(SHOWN))


def move_sliders(page: Page) -> int:
    handles = page.locator(HANDLES).all()
    for number, handle in enumerate(handles):
        move_slider(page, handle, f"slider {number}")
    return len(handles)


def move_slider(page: Page, handle: Locator, control: str) -> None:
    at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    before = page.evaluate(SHOWN)
    handle.press("ArrowLeft" if at_end else "ArrowRight")
    wait_for_change(page, before, control)


def move_selects(page: Page) -> int:
    selects = page.locator(SELECTS).all()
    for number, select in enumerate(selects):
        move_select(page, select, f"dropdown {number}")
    return len(selects)


def move_select(page: Page, select: Locator, control: str) -> None:
    before = page.evaluate(SHOWN)
    size, chosen = select.evaluate("e => [e.options.length, e.selectedIndex]")
    select.select_option(index=(chosen + 1) % size)
    wait_for_change(page, before, control)


def move_toggles(page: Page) -> int:
    groups = page.locator(".jupyter-widgets.widget-toggle-buttons").all()
    for number, group in enumerate(groups):
        before = page.evaluate(SHOWN)
        group.locator("button:not(.mod-active)").first.click()
        wait_for_change(page, before, f"toggle buttons {number}")
    return len(groups)


def move_plays(page: Page) -> int:
    plays = page.locator(".jupyter-widgets.widget-play").all()
    for number, play in enumerate(plays):
        stop = play.locator("button").nth(1)
        stop.click()
        before = page.evaluate(SHOWN)
        play.locator("button").first.click()
        wait_for_change(page, before, f"play {number}")
        stop.click()
    return len(plays)


def test_page_is_whole_by_itself(opened: Visit) -> None:
    assert not opened.faults
    assert not opened.page.evaluate(UNNAMED), "pictures without a text for those who do not see them"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_look(opened: Visit, width: int, scheme: str) -> None:
    if opened.name == "index.html":
        return  # sends on to the front page
    page = opened.look(scheme, width)
    overhang = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    page.evaluate(UNFOLD)
    cut, small = page.evaluate(CUT), page.evaluate(SMALL) if width == 1280 else []
    shut_out = page.evaluate(SHUT_OUT, scheme)
    name = f"{opened.name.removesuffix('.html').replace('/', '-')}-{scheme}-{width}"
    keep_picture(page, name, wrong=overhang > 0 or bool(shut_out))
    assert not cut, "\n".join(cut)
    assert not small, "\n".join(small)
    assert overhang <= 0, f"the page is {overhang} px wider than the window"
    assert not shut_out, "\n".join(shut_out)


def test_every_page_says_where_an_error_goes(opened: Visit) -> None:
    if opened.name == "index.html":
        return  # sends on to the front page
    targets = opened.page.locator("footer .extra_footer a").evaluate_all("links => links.map(a => a.href)")
    assert targets == [f"{opened.origin}book/{it}.html" for it in ("limits", "errata")]


def test_a_chapter_prints(opened: Visit) -> None:
    if not opened.name.startswith("book/"):
        return  # no chapter
    page = opened.look("dark", PAPER, 1000)
    page.evaluate("document.querySelectorAll('article details').forEach(e => { e.open = false; })")
    title = page.locator("article h1").first.evaluate("e => e.firstChild.textContent.trim()")
    pdf = page.pdf(format="A4", prefer_css_page_size=True, print_background=True)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark", "paper leaves the screen as it was"
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    cut_off, shut = page.evaluate(CUT_OFF), page.locator("article details:not([open])").count()
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    PAPERS.mkdir(parents=True, exist_ok=True)
    (PAPERS / f"{Path(opened.name).stem}.pdf").write_bytes(pdf)
    sheets = [sheet.get_textpage().get_text_bounded() for sheet in pypdfium2.PdfDocument(pdf)]
    text = unicodedata.normalize("NFKC", " ".join(" ".join(sheets).split()))  # a font may have one sign for two letters
    assert len(sheets) > 1
    assert unicodedata.normalize("NFKC", " ".join(title.split())) in text
    assert not [word for word in NAVIGATION if word in text]
    assert (theme, shut, cut_off) == ("light", 0, [])
    assert not opened.faults


def test_every_widget_moves(opened: Visit) -> None:
    if "widget-view+json" not in (SITE / opened.name).read_text(encoding="utf-8"):
        return
    page = opened.look("light", 1280)
    moved = move_sliders(page) + move_selects(page) + move_toggles(page) + move_plays(page)
    asleep = page.locator(".jupyter-widgets.gfp-live-only").count()  # shown when the model is awake
    assert moved or asleep, "the page has widgets but no control that these tests know"
    assert not opened.faults


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_from_a_server(visits: Visits, name: str) -> None:
    visit = visits("http")
    visit.open(name, until="networkidle")
    assert not visit.faults


@pytest.mark.parametrize("way", ["http", "file"])
def test_search_finds_a_word(visits: Visits, way: str) -> None:
    visit = visits(way)
    page = visit.open("book/index.html")
    page.locator("button.search-button__button:visible").first.click()
    field = page.locator("input[name=q]:visible").first
    field.fill("hunk")
    field.press("Enter")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    page.wait_for_load_state("networkidle")
    assert any("book/patch.html" in address for address in found)
    assert not visit.faults


@pytest.fixture(scope="module")
def builder(visits: Visits) -> Visit:
    """Return the page of the stack builder, opened once for all that is chosen there."""
    visit = visits("file")
    visit.open("book/nesting.html")
    return visit


@pytest.mark.xdist_group("builder")
@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ((0, 0, 0, 2), "nothing is printed"),
        ((1, 0, 0, 2), "[ BUG: Invalid wait context ]"),
        ((2, 1, 0, 2), "BUG: sleeping function called from invalid context"),
        ((3, 1, 0, 2), "BUG: scheduling while atomic"),
        ((1, 0, 2, 3), "a mutex cannot be taken in hardirq"),
    ],
)
def test_the_stack_builder_shows_what_the_kernel_prints(builder: Visit, chosen: tuple[int, ...], shown: str) -> None:
    page = builder.page
    assert shown not in page.evaluate(SHOWN), "it would be there whatever is chosen"
    for select, index in zip(page.locator(".jupyter-widgets select").all(), chosen, strict=True):
        select.select_option(index=index)
    page.wait_for_function(f"text => ({SHOWN})().includes(text)", arg=shown)
    assert not page.locator(".gfp-live-only").first.is_visible()
    assert not builder.faults


@pytest.mark.parametrize("name", ["book/bits.html", "book/nolock.html", "book/side_by_side.html"])
def test_an_address_holds_what_was_chosen(visits: Visits, name: str) -> None:
    visit = visits("file")
    page = visit.open(name)
    opened = page.evaluate(SAID)
    selects = page.locator(SELECTS).locator("visible=true").all()[:1]
    for select in selects:
        move_select(page, select, "the first dropdown")
    move_slider(page, page.locator(HANDLES).locator("visible=true").first, "the first slider")
    written = "moved => location.hash.startsWith('#set=') && location.hash.split(',').length === moved"
    page.wait_for_function(written, arg=len(selects) + 1)
    shown, chosen = page.evaluate(SETTLED), page.evaluate("location.hash")
    assert chosen.startswith("#set=")
    page.goto("about:blank")
    again = visit.open(name + chosen)
    again.wait_for_function(f"wanted => ({SAID})() === wanted", arg=shown)
    again.evaluate("location.hash = '#set=0.999,999.1'")  # an option, a control that are not there: as it opened
    again.wait_for_function(f"opened => ({SAID})() === opened", arg=opened)
    assert not visit.faults


def test_every_link_leads_somewhere(site: Path) -> None:
    faults, external = links.check(site)
    links.EXTERNAL.write_text("".join(f"{address}\n" for address in external), encoding="utf-8")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small(site: Path, name: str) -> None:
    assert (site / name).stat().st_size < MOST_BYTES


def test_three_clicks_lead_from_a_cell_to_the_chapter_behind_the_verdict(visits: Visits) -> None:
    report = "BUG: Invalid wait context"
    visit = visits("file")
    page = visit.open("book/index.html")
    page.get_by_role("radio", name="RT of 2020: a raw lock held, pages on the list; the flag: reported").check()
    shown = page.locator(".gfp-places section:visible")
    expect(shown.get_by_text(report)).to_be_in_viewport()
    expect(shown.get_by_text("&zone->lock")).to_have_count(0)  # the lists have a lock of their own there
    page.get_by_role("link", name="the page to decide from", exact=True).click()
    expect(page.get_by_role("heading", name="The page to decide from")).to_be_in_viewport()
    page.locator("article a[href$='#nesting-path']").first.click()
    page.wait_for_function(WIDGETS_READY)
    assert page.url.endswith("nesting.html#nesting-path")
    path = page.locator("section#the-path-that-takes-the-lock")
    expect(path.get_by_role("heading")).to_be_in_viewport()
    expect(path.get_by_text("zone->lock").locator("visible=true").first).to_be_visible()
    assert not visit.faults
