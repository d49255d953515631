from kuscia_hooks.core.text import first_of, printable, printable_lines


def test_truncates_long_lists() -> None:
    names = [f"p{number:02}" for number in range(12)]
    assert first_of(names).endswith(", p09 and 2 more")
    assert first_of(names[:10]) == ", ".join(names[:10])


def test_keeps_lines_and_indentation_without_control_characters() -> None:
    assert printable_lines("one\x1b[31m\n  - two\x07three") == "one [31m\n  - two three"


def test_replaces_half_of_a_surrogate_pair() -> None:
    assert printable("a\ud800b") == "a b"
    assert printable_lines("a\n  b\udc00c").encode() == b"a\n  b c"
