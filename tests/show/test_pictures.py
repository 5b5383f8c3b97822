"""Pictures: their text says what the HTML shows, nothing is told by colour alone, and no name can break the page."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gfpmodel.errors import InputError
from gfpmodel.gfp import kernels, layout, lint, read_patch, variants, with_shift
from gfpmodel.show.figures import room, room_figure, svg
from gfpmodel.show.pictures import cells, facts, hunk, hunks_map, reading, shift_story, table, word

ALL = [v for kernel in kernels() for v in variants(kernel)]
MAIL = (Path(__file__).parents[2] / "book/data/fast-try-v1.txt").read_bytes()
RFC, RFC_LOCKDEP = variants("v5.8-rc3+FAST_TRY")


class Balanced(HTMLParser):
    """Collect the text of HTML and check that every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "wbr":  # a void element
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Leave out what closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("it", ALL, ids=str)
def test_word_shows_every_flag_once(it) -> None:
    picture = word(it)
    html = "".join(Balanced(picture.html).words)
    for flag in it.bits:
        name = flag.removeprefix("__GFP_")
        assert name in html
        assert len(re.findall(rf"\b{name}\b", picture.text.partition("\n")[2])) == 1
    assert len(cells(it)) == 32
    assert [cell.bit for cell in cells(it) if cell.label == "hole"] == sorted(it.holes, reverse=True)


def test_changes_have_a_sign_and_not_only_a_colour() -> None:
    marks = {cell.label: cell.mark for cell in cells(RFC_LOCKDEP, before=layout("v5.8-rc3", {"LOCKDEP": True}))}
    assert marks["FAST_TRY"] == "+ new"
    assert marks["NOLOCKDEP"] == "→ moved"
    assert {mark for label, mark in marks.items() if label not in ("FAST_TRY", "NOLOCKDEP")} == {""}


def test_a_set_bit_has_a_dot() -> None:
    assert [cell.label for cell in cells(RFC, 0x800800) if "●" in cell.mark] == ["FAST_TRY", "KSWAPD_RECLAIM"]


def test_a_forgotten_shift_shows_the_bit_taken_twice() -> None:
    [taken] = [cell for cell in cells(with_shift(RFC, 23)) if "✕" in cell.mark]
    assert (taken.bit, taken.label) == (23, "FAST_TRY")
    assert "XA_MARK_0" in taken.mark


@pytest.mark.parametrize("shift", range(20, 33))
def test_shift_story_at_every_shift(shift: int) -> None:
    picture = shift_story("__GFP_FAST_TRY", with_shift(RFC, shift))
    Balanced(picture.html)
    assert ("stripped" in picture.text) == (shift <= 23)
    assert ("BUILD_BUG_ON" in picture.text) == (shift > 29)


@pytest.mark.parametrize("mask", [0, 0x800000, 0x2800, 0xFFFFFFFF, 0x808000])
def test_reading_under_every_layout(mask: int) -> None:
    for it in ALL:
        picture = reading(mask, it)
        Balanced(picture.html)
        assert f"{mask:#x} under {it}" in picture.text


def test_reading_gives_a_command_that_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    from gfpmodel.cli import main

    picture = reading(0x1000000, layout("mm-dev", {"LOCKDEP": True, "PREEMPT_RT": True}))
    command = picture.text.splitlines()[-1].split("python -m gfpmodel ")[1]
    with pytest.raises(SystemExit) as end:
        main(command.split())
    assert end.value.code == 0
    assert "LOCKDEP=y KASAN_HW_TAGS=n PREEMPT_RT=y" in capsys.readouterr().out


def test_names_from_outside_cannot_break_the_page() -> None:
    for picture in (table(["<a>"], [["<script>"]]), facts("<b>", {"<i>": "&"})):
        Balanced(picture.html)
        assert "<script>" not in picture.html
        assert "<b>" not in picture.html


def test_table_says_yes_no_none() -> None:
    assert table(["a", "b", "c"], [(True, False, None), (1, 0, "x")]).text.split() == [
        "a",
        "b",
        "c",
        "yes",
        "no",
        "none",
        "1",
        "0",
        "x",
    ]
    assert table(["only a header"], []).text == "only a header"


def test_a_lone_cell_of_a_table_has_all_columns() -> None:
    found = table(["a", "b"], [(1, 2), ("why: a < b",)])
    assert "<tr><td colspan=2>why: a &lt; b</td></tr>" in found.html
    assert found.text.splitlines()[1:] == ["1  2", "why: a < b"]


def test_hunk_shows_the_patch_and_what_the_linter_says() -> None:
    patch, report = read_patch(MAIL, "mail"), lint(MAIL, "mail")
    text = hunk(patch, "include/linux/gfp.h", 0, report).text
    assert "+#define ___GFP_FAST_TRY" in text
    assert "bit-renumbered" in text
    assert text.splitlines()[:2] == ["include/linux/gfp.h", "@@ -39,8 +39,9 @@ struct vm_area_struct;"]
    silent = hunk(patch, "mm/page_alloc.c", 5, report)
    assert "->" not in silent.text
    assert "gfp-said" not in silent.html
    with pytest.raises(InputError, match=r"unknown file 'mm/slab.d' in mail; did you mean mm/slab"):
        hunk(patch, "mm/slab.d", 0, report)


def test_every_hunk_of_the_mail_can_be_drawn() -> None:
    patch, report = read_patch(MAIL, "mail"), lint(MAIL, "mail")
    drawn = [hunk(patch, file.path, i, report) for file in patch.files for i in range(len(file))]
    assert len(drawn) == 17
    for picture in drawn:
        Balanced(picture.html)


def test_the_map_counts_the_hunks_and_leads_to_those_that_have_words() -> None:
    patch, report = read_patch(MAIL, "mail"), lint(MAIL, "mail")
    drawn = hunks_map(patch, report, {"mm/page_alloc.c": ["hands <the mask> on", "no refill"]})
    Balanced(drawn.html)
    assert drawn.text.splitlines()[0] == "10 of 17 hunks change code; 7 add comments only"
    assert len(drawn.text.splitlines()) == 18
    assert drawn.html.count('<li class="c">') == 7
    targets = re.findall(r'href="#([^"]*)"', drawn.html)
    shown = [hunk(patch, "mm/page_alloc.c", number, report).html for number in range(2)]
    assert [f'id="{target}"' in html for target, html in zip(targets, shown, strict=True)] == [True, True]
    assert "hands &lt;the mask&gt; on" in drawn.html
    assert "13 mm/slab.h                    slab_post_alloc_hook(), a comment" in drawn.text


def test_a_line_of_a_hunk_keeps_its_sign_and_its_indent() -> None:
    html = hunk(read_patch(MAIL, "mail"), "mm/page_alloc.c", 1, lint(MAIL, "mail")).html
    assert '<code class="a" style="--in:24"><b>+</b>if (!(gfp_flags &amp; __GFP_FAST_TRY))</code>' in html
    assert '<code class="r" style="--in:24"><b>-</b>pcp-&gt;count += rmqueue_bulk(zone, 0,</code>' in html


def test_pictures_can_be_stacked() -> None:
    both = facts("one", {"a": "1"}) + facts("two", {"b": "2"})
    assert both.text.splitlines() == ["one", "  a  1", "two", "  b  2"]


def test_a_figure_is_the_same_bytes_twice_and_says_what_it_shows() -> None:
    assert svg(room_figure(), "alt") == svg(room_figure(), "alt")
    picture = room()
    assert 'role="img"' in picture.html
    assert "v5.8-rc3+FAST_TRY 24 to 25" in picture.html
    assert picture.text.splitlines()[4].split() == ["v5.8-rc3+FAST_TRY", "24", "25", "4"]
    Balanced(picture.html)
