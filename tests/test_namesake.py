"""The other project called symjax: seen where its files lie beside ours, not seen where only ours do."""

from types import SimpleNamespace

from symjax._namesake import found


def test_found(tmp_path):
    package = tmp_path / "symjax"
    package.mkdir()
    assert found(package) == []
    ours = tmp_path / "symjax-0.1.0.dist-info"
    ours.mkdir()
    (ours / "METADATA").write_text("Name: symjax\nSummary: Crystals generated from symmetry operations, in JAX\n\nlong")
    assert found(package) == []  # this project under its earlier name
    theirs = tmp_path / "symjax-0.5.0.dist-info"
    theirs.mkdir()
    (theirs / "METADATA").write_text("Name: symjax\nSummary: A Symbolic JAX software\n\nsymmetry operations")
    (package / "base.py").write_text("")
    assert found(package) == ["symjax/base.py", "symjax-0.5.0.dist-info"]


def test_hint_names_what_installs(monkeypatch, tmp_path):
    from symjax import versions

    hint = versions.install_hint("stability")
    assert hint.startswith("pip install -e '") and hint.endswith("[stability]'")  # a clone
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "symjax" / "versions.py"))
    for origin, expected in (
        (None, "pip install 'symjax-crystals[dask]'"),  # from an index
        ('{"url": "file:///some/folder%20here"}', "pip install '/some/folder here[dask]'"),  # from a folder or file
    ):
        told = SimpleNamespace(read_text=lambda name, origin=origin: origin)
        monkeypatch.setattr(versions.metadata, "distribution", lambda name, told=told: told)
        assert versions.install_hint("dask") == expected
