"""Public data sets from a local server; parts of a prepared data set."""

import functools
import hashlib
import http.server
import threading

import numpy as np
import pytest

from symjax.cli.data import PUBLIC
from symjax.cli.main import main
from symjax.data import fetch as module
from symjax.data.dataset import load
from symjax.data.fetch import SETS, Published, fetch
from symjax.data.selection import Selection, select
from symjax.errors import DataError, InputError
from symjax.evaluate.symmetry import group_numbers

TEXT = 'material_id,cif\na,"line\none"\nb,"line\ntwo"\n'


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder behind a local address, as the data set ``toy``; requests are listed."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()
    (folder / "train.csv").write_text(TEXT)
    (folder / "test.csv").write_text(TEXT + "c,x\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    base = f"http://127.0.0.1:{served.server_port}"
    toy = Published(base, {"train": 2, "val": 2, "test": 2}, {"train": digest}, "nobody", "none")
    monkeypatch.setitem(module.SETS, "toy", toy)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield base, asked
    served.shutdown()
    served.server_close()


def test_fetch(server, tmp_path):
    _, asked = server
    (one,) = fetch("toy", tmp_path / "toy", splits=("train",))
    assert (one.rows, one.checked, one.there) == (2, True, False)
    assert one.path.read_text() == TEXT
    (again,) = fetch("toy", tmp_path / "toy", splits=("train",))
    assert again.there and len(asked) == 1
    with pytest.raises(DataError, match="holds 3 rows, stated are 2"):
        fetch("toy", tmp_path / "toy", splits=("test",))
    assert not (tmp_path / "toy" / "test.csv").exists()
    assert fetch("toy", tmp_path / "toy", splits=("test",), accept=True)[0].rows == 3
    with pytest.raises(DataError, match="cannot be fetched"):  # the server has none
        fetch("toy", tmp_path / "toy", splits=("val",))
    (tmp_path / "toy" / "train.csv").write_text(TEXT.replace("one", "two"))
    with pytest.raises(DataError, match="SHA-256"):
        fetch("toy", tmp_path / "toy", splits=("train",))


def test_fetch_command(server, tmp_path, capsys, monkeypatch):
    base, _ = server
    monkeypatch.setitem(module.SETS, "mp20", SETS["mp20"]._replace(rows={"train": 2, "val": 2, "test": 2}))
    arguments = ["data", "fetch", "mp20", "--out", str(tmp_path / "mp20"), "--from", base, "--split", "train"]
    assert main(arguments) == 2  # another file than the one stated
    assert "--accept" in capsys.readouterr().err
    assert main([*arguments, "--accept"]) == 0
    assert "NOT the one stated" in (said := capsys.readouterr().out) and "symjax data prepare" in said


def test_stated_facts():
    assert tuple(SETS) == PUBLIC
    assert set(SETS) == {"mp20", "mpts52", "perov5", "carbon24"}
    assert all(len(digest) == 64 for one in SETS.values() for digest in one.sha256.values())
    assert sum(SETS["mp20"].rows.values()) == 45229


def test_select(prototype_dataset, tmp_path, capsys):
    numbers = group_numbers(prototype_dataset)
    formulas = [prototype_dataset.atoms(i).counts for i in range(len(prototype_dataset))]
    part = select(prototype_dataset, Selection(within=("Na", "Cl"), groups=(225,)), numbers)
    expected = [i for i, c in enumerate(formulas) if set(c) <= {11, 17} and numbers[i] == 225]
    assert list(part.ids) == [prototype_dataset.ids[i] for i in expected] and expected
    small = select(prototype_dataset, Selection(atoms=(2, 3), include=("O",)))
    primitive = [len(prototype_dataset.atoms(i).primitive().z) for i in range(len(prototype_dataset))]
    assert list(small.ids) == [
        prototype_dataset.ids[i] for i, c in enumerate(formulas) if 8 in c and 2 <= primitive[i] <= 3
    ]
    with pytest.raises(InputError, match="exactly the elements He, Xe leaves none"):
        select(prototype_dataset, Selection(elements=("He", "Xe")))
    prototype_dataset.save(tmp_path / "all.npz")
    command = ["data", "select", str(tmp_path / "all.npz"), "--out", str(tmp_path / "part.npz")]
    assert main([*command, "--system", "Na-Cl", "--space-group", "Fm-3m"]) == 0
    assert np.array_equal(load(tmp_path / "part.npz").ids, part.ids)
    assert main([*command, "--elements", "li,o"]) == 2
    assert "did you mean Li,O?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "meant"),
    [("Li-P-S", "Li,P,S"), ("li,p,s", "Li,P,S"), ("Li P S", "Li,P,S"), ("LiPS", "Li,P,S"), ("xx", "")],
)
def test_what_a_list_of_elements_may_mean(text, meant):
    from symjax.generate.request import parse_elements

    with pytest.raises(InputError, match=f"did you mean {meant}" if meant else "no element; symbols look like"):
        parse_elements(text)
