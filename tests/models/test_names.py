"""The names that the store accepts, and the parsing of references."""

from __future__ import annotations

import pytest

from models.errors import InvalidName
from models.names import check_model_name, check_tag, split_reference, version_number


@pytest.mark.parametrize("name", ["iris", "a", "0", "fraud_2-eu", "x" * 64])
def test_a_model_name_is_lower_case_letters_digits_and_two_signs(name: str) -> None:
    assert check_model_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Iris", "-a", "_a", ".git", "a.b", "a b", "a/b", "..", "é", "a\n", "a:1", "x" * 65, "٣"]
)
def test_a_name_that_could_leave_its_directory_or_be_misread_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="is not a model name: use"):
        check_model_name(name)


@pytest.mark.parametrize("tag", ["1.0.0", "2024-06", "champion", "1a", "v_2", "x" * 64])
def test_a_tag_may_have_dots_so_a_release_number_is_one(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["1", "007", "", "A", ".1", "a/b", "..", "a b", "a\n", "x" * 65])
def test_a_tag_of_digits_alone_would_be_a_version_number(tag: str) -> None:
    with pytest.raises(InvalidName, match="is not a tag"):
        check_tag(tag)


@pytest.mark.parametrize("tag", ["stable", "canary", "shadow", "latest"])
def test_names_that_the_store_gives_itself_are_not_set_as_tags(tag: str) -> None:
    with pytest.raises(InvalidName, match="the store itself decides"):
        check_tag(tag)


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("1", 1),
        ("120", 120),
        ("0", None),
        ("01", None),
        ("1.0", None),
        ("-1", None),
        ("٣", None),
        ("9" * 10, None),
    ],
)
def test_only_a_plain_positive_number_is_a_version_number(reference: str, number: int | None) -> None:
    assert version_number(reference) == number


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("fraud", ("fraud", "stable")),
        ("fraud:3", ("fraud", "3")),
        ("fraud:1.0.0", ("fraud", "1.0.0")),
        ("fraud:", ("fraud", "stable")),
    ],
)
def test_a_reference_without_a_tag_means_stable(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


def test_a_reference_to_an_impossible_name_is_refused() -> None:
    with pytest.raises(InvalidName):
        split_reference("../etc:1")
