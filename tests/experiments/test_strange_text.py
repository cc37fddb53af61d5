"""Names and texts of strangers are text: no path, no markup, no escape sequence."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.scenarios.toml_text import read, toml_text, written
from experiments.terminal.screen import UNSEEN, plain
from tests.experiments.fault_inputs import device_of
from tests.experiments.small_scenario import SMALL


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/tmp/x",
        "a/b",
        "a\\b",
        ".hidden",
        "..",
        "a..b",
        "",
        " ",
        "a ",
        "a\tb",
        "a\x1b[2J",
        "a\x7f",
        "\u202eb",
        "x" * 101,
        "é" * 60,
    ],
)
def test_a_name_is_a_name(refused, tmp_path, name):
    (tmp_path / "mine.toml").write_text(f"name = {toml_text(name)}\n{SMALL}")
    assert "expected a name of 1 to 100 bytes" in refused("optimize", "mine.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize("stem", [".hidden", "a\nb", "x" * 200, "..a..b", "...", "a [red]$b"])
def test_a_files_name_gives_a_name(run, tmp_path, searched, stem):
    (tmp_path / f"{stem}.toml").write_text(SMALL)
    assert run("optimize", f"{stem}.toml").code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert (
        read((folder / "scenario.toml").read_text(), "x", "x").name
        == folder.name.rpartition("-")[0]
    )


STRANGE = (
    "[/red] [b]",
    "$x_{$ and 5$",
    "a\x1b[2J\x07b",
    "<script>alert(1)</script>",
    '"\\',
    "\u202eevil",
    "日本",
    "two\nlines",
    "\x7f",
)


@pytest.mark.parametrize("text", STRANGE)
def test_a_description_is_text(run, tmp_path, searched, text):
    """On the terminal, in the picture, in the page and in the files."""
    (tmp_path / "mine.toml").write_text(SMALL.replace('"small"', toml_text(text)))
    answer = run("optimize", "mine.toml", "--output", "o[/x]")
    assert answer.code == 0, answer.err
    assert plain(text).split()[0] in answer.out and "o[/x]" in answer.out
    assert not set("\x1b\x07\x7f\u202e") & set(answer.out + answer.err)
    page = (tmp_path / "o[/x]/report.html").read_text()
    assert (
        not set("\x1b\x07\u202e") & set(page.partition("<h1>")[2].partition("</h1>")[0])
        and "<script>alert(1)" not in page
    )
    resolved = tmp_path / "o[/x]/scenario.toml"
    assert read(resolved.read_text(), "x", "x").description == text
    for path in (tmp_path / "o[/x]/designs").iterdir():
        tomllib.loads(path.read_text())


def test_a_picture_writes_dollars_as_they_are(tmp_path, found):
    """No mathematics is read into a title."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from experiments.runs.picture import draw_front

    stated, front, devices, *_ = found
    seen = []
    kept, Figure.savefig = (
        Figure.savefig,
        lambda figure, *_, **__: seen.extend(figure.findobj(Text)),
    )
    try:
        draw_front(
            tmp_path / "x.png",
            front,
            devices,
            stated.model_copy(update={"description": "from $5 to $6 a token"}),
        )
    finally:
        Figure.savefig = kept
    (title,) = [text for text in seen if text.get_text() == "from $5 to $6 a token"]
    assert not title.get_parse_math()


@pytest.mark.parametrize("text", STRANGE)
def test_a_devices_name_is_text(run, tmp_path, text):
    (tmp_path / "mine.toml").write_text(device_of(name=toml_text(text)))
    answer = run("evaluate", "--model", "gpt2", "--device", "mine.toml")
    assert answer.code == 0 and plain(text).split()[0] in answer.out
    assert not set("\x1b\x07\x7f\u202e") & set(answer.out + answer.err)
    refusal = run("evaluate", "--model", "llama-3.1-405b", "--device", "mine.toml")
    assert (
        refusal.code == 3
        and refusal.err.count("\n") == 1
        and not set("\x1b\x07\x7f\u202e") & set(refusal.err)
    )


@pytest.mark.parametrize("text", ["\x1b[2Jx", "[/red]", "\udce9", "a\x00b", "x" * 5000])
def test_arguments_are_text(refused, text):
    for arguments in (
        ("evaluate", "--model", text, "--device", "h100"),
        ("optimize", text),
        ("list", text),
        (text,),
    ):
        sentence = refused(*arguments)
        assert not set(sentence) & set("\x1b\x00") and len(sentence) < 1000


@given(st.text())
def test_toml_gives_texts_back(text):
    assert tomllib.loads(f"x = {toml_text(text)}")["x"] == text


@given(st.text(st.characters()))
def test_nothing_printed_is_obeyed(text):
    import unicodedata

    assert all(c == "\n" or unicodedata.category(c) not in UNSEEN for c in plain(text))
    plain(text).encode()


@given(st.text(max_size=100).filter(lambda text: len(text.encode()) <= 1000))
def test_scenarios_of_any_description_come_back(text):
    stated = read(SMALL.replace('"small"', toml_text(text)), "x", "x")
    assert read(written(stated), "x", "x") == stated
