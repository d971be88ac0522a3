"""Numbers of texts, against a dictionary."""

from hypothesis import given, settings
from hypothesis import strategies as st

from graph_builder.text_numbers import TextNumbers


@settings(max_examples=50)
@given(st.lists(st.lists(st.text(st.sampled_from("ab_é語"), max_size=3), max_size=30)))
def test_numbers_are_equal_where_texts_are(batches: list[list[str]]) -> None:
    numbers, known = TextNumbers(), dict[str, int]()
    for texts in batches:
        expected = [known.setdefault(text, len(known)) for text in texts]
        assert numbers.of_texts(texts).tolist() == expected
    assert len(numbers) == len(known)


def test_there_is_room_for_any_number_of_texts() -> None:
    numbers, texts = TextNumbers(), [f"text {number}" * 9 for number in range(50_000)]
    assert numbers.of_texts(texts).tolist() == list(range(50_000))
    assert numbers.of_texts(texts[::-1]).tolist() == list(range(50_000))[::-1]
    assert numbers.of_texts(["y" * 10_000_000, texts[7]]).tolist() == [50_000, 7]
