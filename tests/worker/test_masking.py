"""Secrets in output: hidden byte for byte, wherever the text is split, and nothing else is."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livetask import secret_formats
from livetask.masking import REACH_BYTES, Mask
from livetask.secret_formats import BUILT_IN
from livetask.setting_errors import SettingInvalid
from livetask.worker.following import Following
from livetask.worker.secret_texts import texts_to_hide
from livetask.worker.spool import RunPaths, new_nonce
from livetask.worker.streams import SpoolRaw, SpoolText


def text(*parts: str) -> bytes:
    """Put together here, so that no scanner of repositories finds keys in this file."""
    return "".join(parts).encode()


B64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
KEY_LINES = [*[B64] * 24, "dGhlIGVuZA=="]
SECRETS: dict[str, tuple[bytes, bytes]] = {
    "amazon id": (b"AKIA", text("IOSFODNN7", "EXAMPLE")),
    "amazon secret": (b"aws_secret_access_key = ", text("wJalrXUtnFEMI/K7MDENG/", "bPxRfiCYEXAMPLEKEY")),
    "github": (b"ghp_", text("16C7e42F292c6912E7", "710c838347Ae178B4a")),
    "github fine": (b"github_pat_", text("11ABCDEFG0abcdefghij", "_klmnopqrstuvwxyz0123456789")),
    "gitlab": (b"glpat-", text("xYz12345", "-abcdEFGH_ijk")),
    "slack": (b"xoxb-", text("17653672481-19874698323", "-pdFZKVeTuE8sk7oOcBrzbqgy")),
    "slack hook": (b"hooks.slack.com/services/", text("T0000/B0000/", "XXXXXXXXXXXX")),
    "stripe": (b"sk_live_", text("4eC39HqLyjWD", "arjtT1zdp7dc")),
    "google": (b"AIza", text("SyDaGmWKa4JsXZ-HjGw7", "ISLn_3namBGewQe")),
    "bearer": (b"Authorization: Bearer ", text("mF_9.B5f-4.1JqM", "abcdefgh~+/==")),
    "openai": (b"sk-", text("proj-abcdefghijklmnop", "qrstuvwxyz0123456789")),
    "jwt": (b"eyJ", text("hbGciOiJIUzI1NiJ9.eyJ", "zdWIiOiIxMjM0NTY3ODkwIn0.", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9")),
    "url": (b"postgresql://anna:", text("hunter", "2hunter2")),
}
TAILS = {"url": b"@db.example/x"}


def lines_of_key(end: str = "\n", kind: str = "RSA ") -> tuple[bytes, bytes]:
    head, tail = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    whole = end.join([head, *KEY_LINES, tail])
    hidden = end.join([head, *("*" * len(line) for line in KEY_LINES), tail])
    return whole.encode(), hidden.encode()


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("text ", " text\n"), ('{"a": "', '", "b": 1}'), ("\x1b[32m", "\x1b[0m")]
)
def test_a_key_of_a_known_format_is_hidden_and_what_stands_around_it_is_not(kind: str, before: str, after: str) -> None:
    head, secret = SECRETS[kind]
    whole = before.encode() + head + secret + TAILS.get(kind, b"") + after.encode()
    hidden = Mask().hidden(whole)
    assert hidden == before.encode() + head + b"*" * len(secret) + TAILS.get(kind, b"") + after.encode()
    assert Mask().hidden(hidden) == hidden


@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n"])
@pytest.mark.parametrize("kind", ["RSA ", "", "OPENSSH "])
def test_a_private_key_is_hidden_with_its_line_ends_where_they_were(end: str, kind: str) -> None:
    whole, hidden = lines_of_key(end, kind)
    found = Mask().hidden(b"before\n" + whole + b"\nafter\n")
    expected = b"before\n" + hidden + b"\nafter\n"
    if end == "\\n":
        assert B64.encode()[:16] not in found
        assert len(found) == len(expected)
    else:
        assert found == expected


@pytest.mark.parametrize(
    "harmless",
    [
        "Downloading https://example.org:8080/path and http://[::1]:80/",
        "the bearer of bad news, a task_test_case, skip_live_data, eyJ and AKIA",
        "pip install pypi-simple; npm_config_loglevel=warn; sk-learn",
        "commit 16C7e42F292c6912E7710c838347Ae178B4a1234",
        "user@example.org: hello; git@github.com:who/what.git",
        "-----BEGIN CERTIFICATE-----\n" + B64 + "\n-----END CERTIFICATE-----",
        "********** heading **********",
    ],
)
def test_what_is_no_secret_stays_as_it_is(harmless: str) -> None:
    assert Mask().hidden(harmless.encode()) == harmless.encode()
    assert Mask().decided(harmless.encode() + b"\n") == len(harmless.encode()) + 1


def test_given_texts_are_hidden_by_line_and_as_json_and_repr_write_them() -> None:
    mask = Mask(formats=False, texts=["pass\"word'\\ü", "two\nlonger lines\nok"])
    assert mask.text("a pass\"word'\\ü b") == "a " + "*" * len("pass\"word'\\ü".encode()) + " b"
    assert "word" not in mask.text('{"a": "pass\\"word\'\\\\\\u00fc"}')
    assert "word" not in mask.text(repr({"a": "pass\"word'\\ü"}))
    assert mask.text("longer lines, two") == "************, two"


# ---- any split

_PIECES = st.one_of(
    st.sampled_from([head + secret + TAILS.get(kind, b"") for kind, (head, secret) in SECRETS.items()]),
    st.sampled_from([head for head, _ in SECRETS.values()]),
    st.sampled_from([lines_of_key()[0], lines_of_key("\\n")[0], lines_of_key()[0][:700], b"the house's own secret"]),
    st.sampled_from(
        [b"\n", b" ", b"\r", b"\r\n", b"=", b'"', b".", b"-", b"\x1b[1m", "ü€".encode(), b"eyJ.eyJ", b"://a:b@@"]
    ),
    st.binary(max_size=20),
    st.text(alphabet="aA0-_.:/@ ", max_size=30).map(str.encode),
)
_MASK = Mask(texts=["the house's own secret", "ses own s"])


@settings(max_examples=60)
@given(st.lists(_PIECES, max_size=30), st.data())
def test_however_the_output_comes_and_is_read_the_same_bytes_are_hidden(
    pieces: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(pieces)
    expected = _MASK.hidden(whole)
    assert len(expected) == len(whole)
    paths = RunPaths(Path(os.environ.get("TMPDIR", "/tmp")), new_nonce())
    file = Path(paths.of("out"))
    file.write_bytes(b"")
    following = Following(paths, _MASK)
    try:
        sent, at, clean = b"", 0, 0
        while at < len(whole):
            size = data.draw(st.integers(1, max(1, len(whole) - at)))
            with file.open("ab") as out:
                out.write(whole[at : at + size])
            at += size
            following.look()
            for piece in following.pieces(following.decided, data.draw(st.integers(64, 2000)), 1000):
                sent += piece.data
            assert sent == expected[: len(sent)]
            lies = file.read_bytes()
            clean = max(clean, following.clean)  # another shipper may begin behind where the one before it was
            assert lies[:clean] == expected[:clean]
            assert lies[clean:] == whole[clean:at]
            if data.draw(st.booleans()):  # the shipper dies; another one is told where the output in Redis ends
                end = following.scan.at
                following.close()
                following = Following(paths, _MASK)
                following.go_to(end)
                assert following.scan.crc == zlib.crc32(expected[: end.byte])
        following.end_at(len(whole))
        for piece in following.pieces(len(whole), 1000, 10_000):
            sent += piece.data
        assert sent == expected == file.read_bytes()
        assert following.scan.crc == zlib.crc32(expected)
    finally:
        following.close()
        paths.remove()


@settings(max_examples=60)
@given(st.lists(st.tuples(_PIECES, st.booleans()), max_size=20), st.data())
def test_whoever_writes_and_in_whichever_pieces_the_spool_holds_no_secret(
    pieces: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    paths = RunPaths(Path(os.environ.get("TMPDIR", "/tmp")), new_nonce())
    fd = os.open(paths.of("out"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    stream, file = SpoolText(SpoolRaw(fd, mask=_MASK)), Path(paths.of("out"))
    following = Following(paths, _MASK)
    written, sent = b"", b""
    try:
        for piece, by_python in pieces:
            if by_python:
                stream.buffer.write(piece)
                written += _MASK.hidden(piece)
                assert file.read_bytes().endswith(_MASK.hidden(piece)), "what is whole in one write never lies there"
            while not by_python and piece:
                size = data.draw(st.integers(1, len(piece)))
                os.write(fd, piece[:size])
                written, piece = written + piece[:size], piece[size:]
                following.look()
                sent += b"".join(one.data for one in following.pieces(following.decided, 1000, 1000))
        following.end_at(len(written))
        sent += b"".join(one.data for one in following.pieces(len(written), 1000, 1000))
        assert sent == file.read_bytes() == _MASK.hidden(written)
        assert b"the house's own secret" not in sent
    finally:
        following.close()
        os.close(fd)
        paths.remove()


@settings(max_examples=200)
@given(st.lists(_PIECES, max_size=30))
def test_what_is_hidden_is_left_as_it_is_and_a_quick_look_misses_nothing(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    hidden = _MASK.hidden(whole)
    assert _MASK.hidden(hidden) == hidden
    for part in (whole, *pieces):
        assert _MASK.hidden_at_once(part) == _MASK.hidden(part)


def test_a_line_that_is_all_secrets_is_clean_as_far_as_it_cannot_be_looked_at_again(tmp_path: Path) -> None:
    head, secret = SECRETS["amazon id"]
    whole = (head + secret + b" ") * 20_000
    expected = (head + b"*" * len(secret) + b" ") * 20_000
    paths = RunPaths(tmp_path, new_nonce())
    Path(paths.of("out")).write_bytes(b"")
    following = Following(paths, _MASK)
    try:
        for at in range(0, len(whole), 30_011):
            with Path(paths.of("out")).open("ab") as out:
                out.write(whole[at : at + 30_011])
            following.look()
            assert following.size - following.clean < 10 * REACH_BYTES
        following.end_at(len(whole))
        assert b"".join(piece.data for piece in following.pieces(len(whole), 16_000, 10_000)) == expected
        assert Path(paths.of("out")).read_bytes() == expected
    finally:
        following.close()


@settings(max_examples=30)
@given(st.binary(max_size=40), st.sampled_from(sorted(SECRETS)), st.integers(0, 3))
def test_a_window_of_twice_the_reach_decides_as_the_whole_does(noise: bytes, kind: str, lines: int) -> None:
    head, secret = SECRETS[kind]
    block = noise + b"\n" * lines + b" " + head + secret + TAILS.get(kind, b"") + b" "
    whole = (block * (80_000 // len(block)))[:80_000]
    expected = _MASK.hidden(whole)
    for start in range(REACH_BYTES, 60_000, 7001):
        window = _MASK.hidden(whole[start - REACH_BYTES : start + 5000 + REACH_BYTES])
        assert window[REACH_BYTES : REACH_BYTES + 5000] == expected[start : start + 5000]


def test_words_that_are_no_secret_are_not_held_back() -> None:
    for begun in (b"Enter your name: ", b"......", b"45% of ghp", b"see https://example.org ", b"\x1b[32m"):
        assert Mask().decided(begun) == len(begun)
    for begun, kept in ((b"key ghp_abc", 8), (b"to https://anna:hun", 16), (b"Bearer abc", 7)):
        assert Mask().decided(begun) == kept
    assert Mask(texts=["open sesame"]).decided(b"say open ses") == 4


def test_a_line_without_end_is_held_back_no_further_than_the_reach() -> None:
    assert Mask().decided(b"Bearer " + b"a" * 100_000) == 100_007
    assert Mask(texts=["x" * 50]).decided(b"y" * 100_000) == 100_000


@pytest.mark.alone
def test_output_made_to_be_hard_to_search_is_searched_in_time() -> None:
    import time

    mask = Mask(texts=["a" * 4000 + "b", "secret words"])
    hard = [
        b"eyJ",
        b"eyJ.",
        b"://",
        b"://a:",
        b"Bearer ",
        b"xoxb-",
        b"a",
        b"@",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"sk-",
        B64.encode() + b"\n",
    ]
    for word in hard:
        block = word * (512 * 1024 // len(word))
        began = time.process_time()
        mask.hidden(block)
        mask.decided(block[-2 * REACH_BYTES :])
        assert time.process_time() - began < 3, word


# ---- which texts


def test_values_of_named_variables_are_secrets_and_switches_are_not() -> None:
    environ = {"DB_PASSWORD": "correct horse", "X_TOKEN": "true", "OTHER": "correct donkey", "PGPASSWORD": "longenough"}
    assert texts_to_hide(("*_PASSWORD", "*_TOKEN", "PGPASSWORD"), environ, "") == ("correct horse", "longenough")


def given_texts() -> list[str]:
    return ["from the vault"]


def failing() -> list[str]:
    raise RuntimeError("from the vault")


def test_a_callable_gives_further_ones() -> None:
    assert texts_to_hide((), {}, "tests.worker.test_masking:given_texts") == ("from the vault",)


@pytest.mark.parametrize(
    "wrong", ["tests.worker.test_masking:failing", "no.such:thing", "tests", "tests.worker.test_masking:B64"]
)
def test_without_knowing_what_to_hide_nothing_is_shown(wrong: str) -> None:
    with pytest.raises(SettingInvalid, match="mask_with") as refused:
        texts_to_hide((), {}, wrong)
    assert "vault" not in str(refused.value)


SHORT_BODIES = st.sampled_from(
    [b"A", b"Z9", b"ab-", b"x_y", b"eyJ", b".", b" ", b"=", b"/", b"://", b"@", b"\n", b"secret", b"Access", b"KEY"]
)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.one_of(
            SHORT_BODIES,
            st.sampled_from([head for head, _ in SECRETS.values()]),
            st.sampled_from([b"\n", b"\r\n", b"\r", b"://a:b@c", lines_of_key()[0][:200]]),
            st.integers(8, 45).map(lambda n: b"Q" * n),
        ),
        max_size=14,
    ),
    st.sampled_from([1, 30, 100, secret_formats._PART_BYTES]),
    st.sampled_from([0, 1, secret_formats._MOST_WORDS]),
)
def test_looking_at_long_words_by_parts_finds_all_that_looking_at_everything_finds(
    pieces: list[bytes], part_bytes: int, most_words: int
) -> None:
    data = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret_formats, "_PART_BYTES", part_bytes)
        patch.setattr(secret_formats, "_MOST_WORDS", most_words)
        found = Mask()._spans(data)
    assert sorted(found) == sorted(span for rule in BUILT_IN for span in rule.spans(data, 0, len(data)))


# ---- ordinary lines, and secrets in them

ORDINARY = {
    "path": b'  File "/usr/lib/python3.11/site-packages/%s/app/trace.py", line 451, in trace_task',
    "module": b"2026-01-02 03:04:05,123 proj.pipelines.daily_report.aggregate INFO finished_step %s total_rows=12",
    "uuid": b"[2026-01-02 03:04:05,123: INFO/Main] Task proj.add[5f1c2a7e-0b1d-4c5e-9f00-1234567890ab] %s received",
    "after a uuid": b"5f1c2a7e-0b1d-4c5e-9f00-1234567890ab-%s",
    "hash": b"commit 3f786850e387550fdab836ed7e6dc881de23001b %s 89e6c98d92887913cadf06b2adb97f26cde4849b",
    "url": b"GET https://files.example.org/packages/py3/c/celery/celery-5.4.0-py3-none-any.whl?key=%s&size=100 200",
    "json": b'{"level": "info", "ts": "2026-01-02T03:04:05.123456Z", "token": "%s", "logger": "proj.tasks.daily"}',
    "numbers": b"3.14159265358979 2.718281828459045 %s 1.4142135623730951 1767323045.123",
    "base64": b"iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4/%s",
    "dashes": b"-------------------------------- %s ================================",
    "alone": b"%s",
}
HEADS = {
    head: body
    for heads, body in [
        ([b"AKIA", b"ASIA"], b"A1B2C3D4E5F6G7H8"),
        (
            [b"aws_secret_access_key=", b"SecretAccessKey: ", b"secretAccessKey = ", b"AWS_SECRET_ACCESS_KEY='"],
            b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY",
        ),
        ([b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"], b"16C7e42F292c6912E7710c838347Ae178B4a"),
        ([b"github_pat_"], b"11ABCDEFG0abcdefghij_klmnopqrstuvwxyz0123456789"),
        ([b"glpat-", b"glptt-", b"gldt-", b"glrt-", b"glcbt-"], b"xYz12345-abcdEFGH_ijk"),
        ([b"xoxa-", b"xoxb-", b"xoxe-", b"xoxp-", b"xapp-"], b"17653672481-pdFZKVeTuE8sk7"),
        ([b"hooks.slack.com/services/"], b"T0000/B0000/XXXXXXXXXXXX"),
        ([b"sk_live_", b"sk_test_", b"rk_live_", b"rk_test_", b"whsec_"], b"4eC39HqLyjWDarjtT1zdp7dc"),
        ([b"AIza", b"ya29.", b"GOCSPX-"], b"SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe"),
        ([b"Bearer ", b"bearer ", b"BEARER "], b"mF_9.B5f-4.1JqM+/=="),
        ([b"sk-", b"npm_", b"pypi-", b"hf_"], b"AbcdefghijklmnopqrstUVWXYZ0123456789"),
        ([b"eyJ"], b"hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"),
        ([b"amqp://anna:"], b"hunter2"),
    ]
    for head in heads
}
"""Every beginning by which a secret is known, and one that may stand behind it."""


def looked_at_by_every_rule(data: bytes) -> bytes:
    """What is hidden where nothing is looked at first."""
    found = bytearray(data)
    for start, end in (span for rule in BUILT_IN for span in rule.spans(data, 0, len(data))):
        found[start:end] = bytes(byte if byte in b"\r\n" else ord("*") for byte in data[start:end])
    return bytes(found)


@pytest.mark.parametrize("kind", ORDINARY)
def test_a_secret_in_an_ordinary_line_is_hidden_before_it_is_written(kind: str) -> None:
    mask = Mask()
    assert mask.hidden_at_once(ORDINARY[kind] % b"nothing") == ORDINARY[kind] % b"nothing"
    for head, body in HEADS.items():
        tail = b"@host" if b"://" in head else b""
        for between in (b" ", b"", b"/", b"-", b'"'):
            line = ORDINARY[kind] % (between + head + body + tail)
            found = mask.hidden_at_once(line + b"\n")
            assert found == mask.hidden(line + b"\n") == looked_at_by_every_rule(line + b"\n")
            if between in (b" ", b'"', b"/") and not (kind == "base64" and between == b"/"):
                assert body not in found, head


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(sorted(ORDINARY)), st.sampled_from(sorted(HEADS)), st.integers(0, 60)).map(
                lambda made: ORDINARY[made[0]] % (made[1] + HEADS[made[1]][: made[2]])
            ),
            st.sampled_from(sorted(ORDINARY)).map(lambda kind: ORDINARY[kind] % b"nothing"),
            st.sampled_from([b"\n", b"@", b" ", b"/", b"****", b"x" * 99, lines_of_key()[0]]),
        ),
        min_size=1,
        max_size=6,
    )
)
@example([b"a-hf_", b"5f1c2a7e-0b1d-4c5e-9f00-1234567890ab-AIza"])  # what has another's sign in it, but is none
def test_the_quick_look_at_a_line_finds_all_that_looking_at_everything_finds(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    plain = looked_at_by_every_rule(whole)
    assert Mask().hidden_at_once(whole) == plain
    assert Mask().hidden(whole) == plain
    for line in whole.splitlines(keepends=True):
        assert Mask().hidden_at_once(line) == looked_at_by_every_rule(line)


def test_an_ordinary_line_is_let_by_at_the_first_look() -> None:
    for kind, line in ORDINARY.items():
        assert not secret_formats.may_hold(line % b"task-and-disk-usage-of-this-machine_here"), kind


@pytest.mark.parametrize("head", [b"npm_", b"hf_"])
def test_a_key_is_hidden_with_what_follows_its_letters_by_dashes(head: bytes) -> None:
    key = b"AbcdefghijklmnopqrstUVWXYZ0123456789"
    for body in (key, key + b"-more_of-it"):
        assert Mask().hidden_at_once(b"key " + head + body + b"\n") == b"key " + head + b"*" * len(body) + b"\n"


def test_a_key_of_npm_is_hidden_also_where_dashes_are_among_its_first_letters() -> None:
    body = b"Abc-def_ghijklmnopqrstUVWXYZ0123456789"
    assert Mask().hidden_at_once(b"npm_" + body + b"\n") == b"npm_" + b"*" * len(body) + b"\n"
