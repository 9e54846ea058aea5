"""Tables and weights that someone else made."""

import io
import pickle
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from fuzzing import fuzz, garbled, harmless, texts
from hypothesis import given, strategies as st
from PIL import Image

from effsearch.architecture import parse
from effsearch.data.photographs import decode_photographs, find_photographs
from effsearch.evaluation.tables import read_table
from effsearch.network import build
from effsearch.network.weights import Start, pack_weights, read_tensors, read_weights

TABLE = "depth,width,name,accuracy,flops,params\n" + "".join(
    f"{depth},{width},n{depth}{width},{0.5 + depth / 100},{depth * width * 1000},{width * 100}\n"
    for depth in (1, 2, 3)
    for width in (16, 24)
)
NETWORK = parse("16px-stem_k3_s2_c8-ds_r1_k3_s1_e1_c8-ir_r1_k3_s2_e2_c8-head_c8-relu")
WEIGHTS = pack_weights(build(NETWORK, 2), NETWORK, ["cat", "dog"], "short")
cells = st.one_of(
    texts, st.integers().map(str), st.floats().map(str), st.sampled_from(["1_0", " 1", "1e400", "0x1", '"', "∞", "٣"])
)
rows = st.lists(st.lists(cells, min_size=6, max_size=6), max_size=6)


def parquet_bytes() -> bytes:
    names, *lines = [line.split(",") for line in TABLE.splitlines()]
    columns = {name: [line[index] for line in lines] for index, name in enumerate(names)}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


class Call:
    """What a pickle would call as soon as it is read."""

    def __reduce__(self):
        return (exec, ("open('/tmp/effsearch-fuzz', 'w')",))


def state_dict(poisoned: bool) -> bytes:
    file = io.BytesIO()
    tensors = dict(build(NETWORK, 2).state_dict())
    torch.save(tensors | ({"classifier.1.bias": Call()} if poisoned else {}), file)
    return file.getvalue()


STATE = state_dict(poisoned=False)
pickles = st.sampled_from([pickle.dumps(Call()), state_dict(poisoned=True)])


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A state dict one of whose parts is garbled, so that what reads it gets further than to its checksum."""
    parts = members(STATE)
    name = draw(st.sampled_from(sorted(parts)))
    parts[name] = draw(garbled(parts[name]))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in parts.items():
            archive.writestr(member, content)
    return file.getvalue()


def _table(made: list[list[str]]) -> bytes:
    return (TABLE + "".join(f"{','.join(row)}\n" for row in made)).encode()


@given(st.one_of(garbled(TABLE.encode()), rows.map(_table), rows.map(lambda made: _table(made)[38:])))
@fuzz
def test_tables_of_text(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "table.csv"
    file.write_bytes(content)
    with harmless(file.parent):
        listing = read_table(file)
        assert listing.combinations >= listing.table.size >= 1


@given(garbled(parquet_bytes()))
@fuzz
def test_tables_of_parquet(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "table.parquet"
    file.write_bytes(content)
    with harmless(file.parent):
        read_table(file)


@given(st.one_of(garbled(WEIGHTS), garbled(WEIGHTS[:2000]).map(lambda head: head + WEIGHTS[2000:])))
@fuzz
def test_weights(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "weights.safetensors"
    file.write_bytes(content)
    with harmless(file.parent):
        read_weights(file).network()


@given(st.one_of(garbled(STATE), archives(), pickles))
@fuzz
def test_state_dicts(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "weights.pt"
    file.write_bytes(content)
    with harmless(file.parent):
        Start(read_tensors(file), str(file)).load_into(build(NETWORK, 2), NETWORK)


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(12 * 14 * 3, dtype=np.uint8).reshape(12, 14, 3)).save(file, kind)
    return file.getvalue()


@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF"]).map(picture).flatmap(garbled))
@fuzz
def test_images_that_a_user_names(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "image.png"
    file.write_bytes(content)
    with harmless(file.parent):
        (images,) = decode_photographs(find_photographs([str(file)]), 8, [])
        assert images.pixels.shape == (1, 8, 8, 3)
