"""Files of strangers: other delimiters, columns and gaps are read; what is no file of the kind is
refused in a sentence."""

import pytest

from codesign.calibration.measurements import read_measurements
from tests.codesign.calibration.synthetic import COLUMNS, line, write


def rewritten(tmp_path, text: str):
    path = tmp_path / "file.csv"
    path.write_text(text, encoding="utf-8")
    return read_measurements(path)


def plain(tmp_path):
    return read_measurements(write(tmp_path, [line(), line(value=12.5)]))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_say_the_same(tmp_path, delimiter):
    same = rewritten(
        tmp_path, "\n".join([COLUMNS, line(), line(value=12.5)]).replace(",", delimiter)
    )
    assert [(row.text, row.value) for row in same] == [
        (row.text, row.value) for row in plain(tmp_path)
    ]


def test_decimal_commas_are_read_between_semicolons(tmp_path):
    rows = rewritten(tmp_path, f"{COLUMNS}\n{line()}".replace(",", ";").replace("10.0", "10,5"))
    assert rows[0].value == pytest.approx(0.0105)


def test_columns_may_come_in_any_order_number_and_case(tmp_path):
    rows = rewritten(
        tmp_path,
        "Note,UNIT,value ,"
        " metric,phase,hardware,model\nx,ms,3,tpot_mean,decode,H100,llama-3.1-8b\n\n  \n",
    )
    assert len(rows) == 1 and rows[0].value == pytest.approx(0.003) and rows[0].line == 2
    assert rows[0].number("tp") is None and rows[0].text["software"] == ""


def test_short_and_long_rows_are_read_as_far_as_they_go(tmp_path):
    rows = rewritten(
        tmp_path,
        "model,hardware,phase,metric,value,unit\na,b\na,b,decode,tpot_mean,4,ms,more,and more\n",
    )
    assert rows[0].text["phase"] == "" and rows[0].value != rows[0].value
    assert rows[1].value == pytest.approx(0.004)


def test_the_mark_of_utf_8_and_windows_line_ends_are_no_text(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{COLUMNS}\r\n{line()}\r\n".encode())
    assert read_measurements(path)[0].text == plain(tmp_path)[0].text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "the file is empty"),
        (b"\n  \n", "the file is empty"),
        (COLUMNS.encode() + b"\n", "a header and no rows"),
        (b"a,b\n1,2\n", "columns model, hardware, phase, metric, value, unit are missing"),
        (b"\xff\xfe\x00\x01", "no text in UTF-8"),
    ],
)
def test_what_is_no_file_of_the_kind_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=words) as refused:
        read_measurements(path)
    assert "bad.csv" in str(refused.value)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(ValueError, match="expected a CSV file"):
            read_measurements(path)
