"""Triples that a model would read from source code, best first: the parser's, and new ones.

This is what a trained model distils (arXiv 2510.09580): for each head and relation that the parser
found it is asked for the other end, and what it says is a triple, whether the parser has it or not.
"""

from dataclasses import dataclass

from graphmert.prediction import (
    CodeModel,
    RelationPrediction,
    TextPrediction,
    predict_relations,
    predict_texts,
)

Key = tuple[str, str, str]  # head, relation, tail


@dataclass(frozen=True)
class RankedTriple:
    """A triple with the score of the end that the model was asked for."""

    path: str
    line: int  # 1-based, of the first mention that it was asked at
    head: str
    relation: str
    tail: str
    score: float  # geometric mean of the probabilities of the asked end's tokens
    is_found: bool  # by the parser too; otherwise it is new

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


def rank_triples(
    code_model: CodeModel, code: str | bytes, path: str = "<input>"
) -> list[RankedTriple]:
    """Return the parser's triples and the model's own, each once with its best score, best first.

    Raises ValueError for code that cannot be decoded.
    """
    relations = predict_relations(code_model, code, path)
    texts = predict_texts(code_model, code, path)
    found = {(each.head, each.relation, each.tail) for each in relations}
    best: dict[Key, RankedTriple] = {}
    for relation, text in zip(relations, texts, strict=True):
        for triple in _said(relation, text, found):
            key = triple.head, triple.relation, triple.tail
            if key not in best or triple.score > best[key].score:
                best[key] = triple
    return sorted(best.values(), key=lambda each: (-each.score, each.line, each.head, each.tail))


def _said(
    relation: RelationPrediction, text: TextPrediction, found: set[Key]
) -> list[RankedTriple]:
    """Return the parser's triple and those that the candidates make in its place."""
    own = relation.tail if text.asked == "tail" else relation.head
    triples = [_triple(relation, text.asked, own, text.text_score, found)]
    for candidate, score in text.candidates:
        # Where a name was cut to its last parts, they stand for the whole.
        if candidate != own and not own.endswith(f".{candidate}"):
            triples.append(_triple(relation, text.asked, candidate, score, found))
    return triples


def _triple(
    relation: RelationPrediction, asked: str, name: str, score: float, found: set[Key]
) -> RankedTriple:
    head, tail = (relation.head, name) if asked == "tail" else (name, relation.tail)
    return RankedTriple(
        path=relation.path,
        line=relation.line,
        head=head,
        relation=relation.relation,
        tail=tail,
        score=score,
        is_found=(head, relation.relation, tail) in found,
    )
