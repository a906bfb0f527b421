"""Genotypes as people paste them: every notation names the genotype that it names in the program that writes it."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import ArchgradError, notation, spaces
from archgrad.cli import main
from archgrad.notation.text import LONGEST

DARTS, CELL201, ONE_SHOT = spaces.get("darts"), spaces.get("nasbench201"), spaces.get("nasbench1shot1_1")

NORMAL = [
    ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
    ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2),
]  # fmt: skip
REDUCE = [
    ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
    ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1),
]  # fmt: skip
V2 = f"Genotype(normal={NORMAL!r}, normal_concat=[2, 3, 4, 5], reduce={REDUCE!r}, reduce_concat=[2, 3, 4, 5])"
"""DARTS_V2 as its authors print it, arXiv 1806.09055."""
FIELDS = {"normal": NORMAL, "normal_concat": [2, 3, 4, 5], "reduce": REDUCE, "reduce_concat": [2, 3, 4, 5]}
NODES = {kind: [cell[i : i + 2] for i in range(0, 8, 2)] for kind, cell in (("normal", NORMAL), ("reduce", REDUCE))}
NUMBERS = {"max_pool_3x3": 0, "skip_connect": 2, "sep_conv_3x3": 3, "dil_conv_3x3": 5}
NNI = {
    "max_pool_3x3": "maxpool",
    "skip_connect": "skipconnect",
    "sep_conv_3x3": "sepconv3x3",
    "dil_conv_3x3": "dilconv3x3",
}


def called(normal: list, reduce: list) -> str:
    return f"Genotype(normal={normal!r}, normal_concat=range(2, 6), reduce={reduce!r}, reduce_concat=range(2, 6))"


def pairs(cell: list, *more: object) -> list:
    return [(op, source, *more) for op, source in cell]


def weighted(kind: str) -> list:
    return [tuple((op, source, 0.2371) for op, source in node) for node in NODES[kind]]


def nni_early(name, unread: object) -> dict:
    found: dict = {}
    for kind, nodes in NODES.items():
        for number, node in enumerate(nodes, 2):
            for source in range(number):
                kept = [op for op, s in node if s == source]
                found[f"{kind}_n{number}_p{source}"] = name(kept[0]) if kept else unread
            found[f"{kind}_n{number}_switch"] = [f"{kind}_n{number}_p{s}" for _, s in node]
    return found


def nni_late(one) -> dict:
    found: dict = {}
    for kind, nodes in NODES.items():
        for number, node in enumerate(nodes, 2):
            for place, (op, source) in enumerate(node):
                found |= {f"{kind}/op_{number}_{place}": op, f"{kind}/input_{number}_{place}": one(source)}
    return found


def nasbench301(prefix: str) -> dict:
    found: dict = {f"{prefix}layers": 8, "OptimizerSelector:optimizer": "sgd"}
    for kind, nodes in NODES.items():
        first = 0
        for number, node in enumerate(nodes, 2):
            for op, source in node:
                found[f"{prefix}edge_{kind}_{first + source}"] = op
            if number > 2:
                found[f"{prefix}inputs_node_{kind}_{number}"] = "_".join(str(s) for s in sorted(s for _, s in node))
            first += number
    return found


WRITTEN = {
    "as DARTS prints it": V2,
    "as PC-DARTS prints it": V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
    "as confopt prints it": V2.replace("Genotype", "DARTSGenotype").replace("[2, 3, 4, 5]", "range(2, 6)"),
    "as a line of Python": f"DARTS_V2 = genotypes.{V2}",
    "behind a log's time": f"03/27 08:24:40 PM genotype = {V2}",
    "behind a log's brackets": f"[2021-03-27 08:24:40,123] [INFO] (main.py:3) genotype: {V2}",
    "with a comma behind it": V2 + ",\n",
    "after a byte-order mark": f"\ufeff{V2}\r\n",
    "with typographic quotes": V2.replace("'", "’"),
    "over several lines": V2.replace("), (", "),\n    ("),
    "with NumPy's numbers": V2.replace(", 0)", ", np.int64(0))").replace(", 1)", ", numpy.int32(1))"),
    "with tensors": V2.replace(", 2)", ", tensor(2, device='cuda:0'))"),
    "with lists of ranges": V2.replace("[2, 3, 4, 5]", "list(range(2, 6))"),
    "with fields by place": f"Genotype({NORMAL!r}, range(2, 6), {REDUCE!r}, [2, 3, 4, 5])",
    "as a tuple of fields": repr((NORMAL, [2, 3, 4, 5], REDUCE, [2, 3, 4, 5])),
    "node by node": called(NODES["normal"], NODES["reduce"]),
    "node by node, tuples": repr({kind: tuple(map(tuple, nodes)) for kind, nodes in NODES.items()}),
    "weighted triples": called(pairs(NORMAL, 0.31), pairs(REDUCE, 1e-3)),
    "weights first": repr({"normal": [(op, 0.5, s) for op, s in NORMAL], "reduce": [(op, 0.5, s) for op, s in REDUCE]}),
    "weighted, node by node": repr({"normal": weighted("normal"), "reduce": weighted("reduce")}),
    "inputs first": repr({"normal": [(s, op) for op, s in NORMAL], "reduce": [(s, op) for op, s in REDUCE]}),
    "with the node behind": repr(
        {kind: [[(op, s, n) for op, s in node] for n, node in enumerate(nodes, 2)] for kind, nodes in NODES.items()}
    ),
    "nodes by number": repr({kind: dict(enumerate(nodes, 2)) for kind, nodes in NODES.items()}),
    "as a mapping": repr(FIELDS),
    "as JSON": json.dumps(FIELDS),
    "as an ordered mapping": f"OrderedDict([('normal', {NORMAL!r}), ('reduce', {REDUCE!r})])",
    "a list of one text": repr([V2]),
    "a text in quotation marks": json.dumps(V2),
    "NASLib's numbers": repr(tuple(tuple((s, NUMBERS[op]) for op, s in cell) for cell in (NORMAL, REDUCE))),
    "NAS-Bench-301's numbers": json.dumps([[[s, NUMBERS[op]] for op, s in cell] for cell in (NORMAL, REDUCE)]),
    "NAS-Bench-301's configuration": json.dumps(nasbench301("NetworkSelectorDatasetInfo:darts:")),
    "its short names": repr(nasbench301("")),
    "NNI's first JSON": json.dumps(nni_early(NNI.get, [])),
    "NNI's numbers": json.dumps(nni_early(NUMBERS.get, [])),
    "NNI's lists": json.dumps(nni_early(lambda op: [NNI[op]], [])),
    "NNI's values": json.dumps(nni_early(lambda op: {"_value": NNI[op], "_idx": NUMBERS[op]}, [])),
    "NNI's later JSON": json.dumps(nni_late(lambda source: source)),
    "NNI's later lists": json.dumps({"width": 16, **nni_late(lambda source: [source])}),
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_darts_second_genotype_in_every_notation(text: str):
    found = DARTS.parse(text)
    for kind, cell in (("normal", NORMAL), ("reduce", REDUCE)):
        for number, node in enumerate(NODES[kind], 2):
            first = sum(range(2, number))
            kept = {e - first: names for e, names in enumerate(found.choices[kind]) if first <= e < first + number}
            assert {s: (op,) for op, s in node} == {s: names for s, names in kept.items() if names}
        assert sum(map(len, found.choices[kind])) == len(cell)
    assert DARTS.parse(DARTS.format(found)) == found
    # 3.35 M parameters without the auxiliary head: the published 3.3 M.
    assert DARTS.parameters(found) == pytest.approx(3.35e6, rel=0.01)


CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
CELL_NODES = [
    (("nor_conv_3x3", 0),),
    (("none", 0), ("skip_connect", 1)),
    (("avg_pool_3x3", 0), ("nor_conv_1x1", 1), ("nor_conv_3x3", 2)),
]
EDGES = {
    "0_1": "conv_3x3",
    "0_2": "none",
    "1_2": "skip_connect",
    "0_3": "avg_pool_3x3",
    "1_3": "conv_1x1",
    "2_3": "conv_3x3",
}


@pytest.mark.parametrize(
    "text",
    [
        CELL, "301423", f"\ufeff{CELL}\n", repr([CELL]), f"'{CELL}'", f"Structure(4 nodes with {CELL})",
        f"<<<--->>> The 99-th epoch : Structure(4 nodes with {CELL})", f"genotype: {CELL}", f"arch_str={CELL}",
        repr(CELL_NODES), repr(tuple(CELL_NODES)), f"Structure({CELL_NODES!r})", json.dumps(CELL_NODES),
        repr([tuple((op, s, 0.25) for op, s in node) for node in CELL_NODES]),
        json.dumps(EDGES), repr({f"cell/{edge}": op for edge, op in EDGES.items()}),
        json.dumps(CELL201.parse("301423").to_dict()), repr(CELL201.parse("301423").to_dict()),
    ],
)  # fmt: skip
def test_a_cell_of_nasbench201_in_every_notation(text: str):
    assert CELL201.format(CELL201.parse(text)) == CELL


MATRIX = [
    [0, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0],
    [0, 0, 0, 0, 0, 0, 1], [0] * 7, [0] * 7,
]  # fmt: skip


def test_a_cell_of_nasbench101_in_every_notation():
    """Of NAS-Bench-1Shot1 any genotype says which cell of NAS-Bench-101 it is."""
    genotype = ONE_SHOT.random(torch.Generator().manual_seed(3))
    cell = ONE_SHOT.to_nasbench101(genotype)
    rows, ops, last = [list(row) for row in cell.matrix], list(cell.ops), len(cell.ops) - 1
    sources = {f"input{v}": [s for s in range(v) if rows[s][v]] for v in range(1, last + 1)}
    nni = {**{f"op{v}": ops[v] for v in range(1, last)}, **sources}
    for text in (
        json.dumps({"matrix": rows, "ops": ops}), repr({"matrix": rows, "ops": ops}), json.dumps(nni), repr(nni),
        f"ModelSpec({rows}, {ops})", f"spec = api.ModelSpec(matrix=np.array({rows}), ops={ops})",
        repr({k.replace("op", "cell/op_").replace("input", "cell/input_"): v for k, v in nni.items()}),
    ):  # fmt: skip
        found = ONE_SHOT.parse(text)
        assert ONE_SHOT.to_nasbench101(found).hash == cell.hash, text
    with pytest.raises(ArchgradError, match="input2 must list vertices below 2"):
        ONE_SHOT.parse(json.dumps(nni | {"input2": [5]}))
    with pytest.raises(ArchgradError, match="a cell is"):
        ONE_SHOT.parse(json.dumps({"matrix": 3, "ops": ops}))


@pytest.mark.parametrize(
    ("space", "text", "reason"),
    [
        (CELL201, "[3, 0, 1, 4, 2, 3]", "six numbers in brackets mean other operations in NASLib"),
        (CELL201, '{"0_1": "conv_3x3"}', "nothing is said about the edge 0→2"),
        (CELL201, json.dumps({**EDGES, "2_4": "none"}), "there is no edge 2→4"),
        (CELL201, repr([*CELL_NODES[:2], (("nine", 0), ("none", 1), ("none", 2))]), "unknown operation 'nine'"),
        (CELL201, "[[3], [4], [5]]", r"a node needs pairs \(operation, input\), got 3"),
        (DARTS, repr([[[0, 7]] * 8] * 2), "operation 7 is not one of 0 to 6, NASLib's numbers"),
        (DARTS, V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2, 3)"), "node 5 of normal needs pairs"),
        (DARTS, V2.replace("2, 3, 4, 5", "3, 4, 5", 1), r"normal_concat is \[3, 4, 5\], but"),
        (DARTS, V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)"), "node 5 of normal needs pairs"),
        (DARTS, json.dumps(nni_late(lambda source: [source, 1])), "must be the one input of"),
        (DARTS, json.dumps(nasbench301("")).replace("edge_normal_0", "edge"), "there is no 'edge_normal_0'"),
        (DARTS, V2 + " or Genotype()", "is not of the form"),
        (DARTS, V2.replace("[2, 3, 4, 5]", "range(10**9)"), "is not of the form"),
        (DARTS, V2.replace("[2, 3, 4, 5]", "list(range(3000000000))"), "is not of the form"),
        (DARTS, V2.replace("[2, 3, 4, 5]", "[s for s in (2, 3, 4, 5)]"), "is not of the form"),
        (DARTS, V2.replace("[2, 3, 4, 5]", "__import__('os').getpid()"), "is not of the form|must be a list of states"),
        (DARTS, "[" * 50_000, "is not of the form"),
        (DARTS, "(" * 50_000 + ")" * 50_000, "is not of the form"),
        (DARTS, "-" * 50_000 + "1", "is not of the form"),
        (DARTS, "{" * 90_000, "not JSON"),
        (DARTS, '{"a":' * 20_000, "nested more than 100 deep"),
        (DARTS, "9" * 50_000, "is not of the form"),
        (DARTS, "x(" * 50_000, "is not of the form"),
        (DARTS, "x" * LONGEST, "is not of the form"),
        (CELL201, "x." * (LONGEST // 2), "neither six digits"),
        (DARTS, "x" * (LONGEST + 1), "100,001 characters are more than any genotype has"),
        (CELL201, "|" * 90_000, "neither six digits"),
        (CELL201, "|a~0" * 20_000, "neither six digits"),
        (spaces.get("transnasbench101"), "0" * 90_000, "must be like"),
        (ONE_SHOT, "|" * 90_000, "needs 4 blocks"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) > 60 else str(value)[:40],
)  # fmt: skip
def test_what_names_no_genotype_is_refused_at_once(space: spaces.Space, text: str, reason: str):
    started = time.process_time()
    with pytest.raises(ArchgradError, match=reason) as caught:
        space.parse(text)
    assert time.process_time() - started < 2
    assert len(str(caught.value)) <= 1000


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*WRITTEN.values(), CELL]), st.data())
def test_a_mutated_genotype_is_read_or_refused(text: str, draw: st.DataObject):
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, len(text)))
        end = min(len(text), place + draw.draw(st.integers(0, 20)))
        text = (
            text[:place]
            + draw.draw(st.text(max_size=3) | st.sampled_from(["(", ")", "[", "'", "0", "range(9)"]))
            + text[end:]
        )
    for space in (DARTS, CELL201, ONE_SHOT):
        with suppress(ArchgradError):
            space.check(space.parse(text))


def test_nothing_is_evaluated():
    """No function of the text is called, whatever it is called."""
    text = V2.replace("[2, 3, 4, 5]", "eval('1/0')")
    assert notation.read(text) == notation.Call(
        "Genotype", (), {"normal": [[*p] for p in NORMAL], "normal_concat": notation.Call("eval", ("1/0",), {}),
                         "reduce": [[*p] for p in REDUCE], "reduce_concat": notation.Call("eval", ("1/0",), {})}
    )  # fmt: skip


def test_a_long_genotype_is_no_path(capsys: pytest.CaptureFixture[str]):
    assert len(V2) > 255
    for text in (V2, WRITTEN["NAS-Bench-301's configuration"], CELL):
        space = "nasbench201" if text is CELL else "darts"
        main(["show", text, "--space", space])
        assert " parameters, " in capsys.readouterr().out
