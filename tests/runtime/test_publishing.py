import os
import stat

import pytest

from airflow_ml_pipelines.core.errors import DataError, MlPipelinesError
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry
from airflow_ml_pipelines.core.stores.local_store import LocalStore
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.runtime import publishing

WRITE = """
    import os, sys
    top, *files = sys.argv[1:]
    for file in files:
        path = os.path.join(top, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write("new " + file)
"""
BOTH = pytest.mark.parametrize("kind", ["local", "memory"])


@pytest.fixture
def store(bench, memory, kind):
    return bench.data if kind == "local" else memory


@pytest.fixture
def write(bench, memory):
    """Launch a script that writes files to an output."""

    def run(output, *files, script=WRITE):
        arguments = (({"output": "made"},), *((({"text": file}),) for file in files))
        job = bench.job(script, arguments=arguments, outputs={"made": output})
        result = bench.launch(job, open_store=lambda url: memory if url == memory.url else open_store(url))
        return result.outputs["made"] if result.status == "finished" else result

    return run


def entry(store, path, name, text):
    return Entry(name, len(text), digest_bytes(text.encode()), False, store.info(path).version)


def exactly(manifest):
    return [(e.path, e.size, e.digest, e.version) for e in manifest]


# --- every store, every mode -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_an_output_is_at_its_destination_with_digests_and_versions(bench, store, write, mode):
    manifest = write(bench.output("out/1", mode=mode, store=store), "b.txt", "sub/a.txt")
    assert store.get("out/1/sub/a.txt") == b"new sub/a.txt"
    expected = [
        entry(store, "out/1/b.txt", "b.txt", "new b.txt"),
        entry(store, "out/1/sub/a.txt", "sub/a.txt", "new sub/a.txt"),
    ]
    assert exactly(manifest) == exactly(expected)
    assert not manifest.single
    assert all(e.version for e in manifest)


@BOTH
@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_an_output_can_be_a_single_file(bench, store, write, mode):
    script = "import sys; open(sys.argv[1], 'w').write('x')"
    manifest = write(bench.output("m/model.bin", mode=mode, create=False, store=store), script=script)
    assert manifest.single
    assert exactly(manifest) == exactly([entry(store, "m/model.bin", "model.bin", "x")])


@BOTH
@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_an_output_that_the_script_has_to_make_itself_and_does_not_is_named(bench, store, write, mode):
    with pytest.raises(DataError, match="output 'made': the script was to write it at"):
        write(bench.output("m", mode=mode, create=False, store=store), script="pass")
    assert bench.result["status"] == "failed"
    assert bench.result["exit_code"] == 0
    assert bench.result["outputs"] == {}


@BOTH
@pytest.mark.parametrize("mode", ["mount", "upload"])
@pytest.mark.parametrize("script", ["pass", "import os, sys; os.rmdir(sys.argv[1])"])
def test_an_output_that_stays_empty_is_an_empty_folder(bench, store, write, mode, script):
    manifest = write(bench.output("m", mode=mode, store=store), script=script)
    assert (len(manifest), manifest.single) == (0, False)


@BOTH
def test_nothing_is_uploaded_when_the_script_fails(bench, store, write):
    result = write(bench.output("up", mode="upload", store=store), "a", script=WRITE + "    sys.exit(1)\n")
    assert result.status == "failed"
    assert list(store.walk("")) == []


@BOTH
def test_an_upload_replaces_nothing_and_names_the_file(bench, store, write):
    store.put("up/x.txt", b"old")
    with pytest.raises(DataError, match=r"output 'made': 'up/x\.txt' is at its destination .*overwrite=True"):
        write(bench.output("up", mode="upload", store=store), "new.txt", "x.txt")
    assert store.get("up/x.txt") == b"old"
    assert store.info("up/new.txt") is None


@BOTH
def test_an_upload_replaces_what_is_there_with_overwrite(bench, store, write):
    store.put("up/x.txt", b"old")
    manifest = write(bench.output("up", mode="upload", overwrite=True, store=store), "x.txt")
    assert store.get("up/x.txt") == b"new x.txt"
    assert exactly(manifest) == exactly([entry(store, "up/x.txt", "x.txt", "new x.txt")])


@BOTH
def test_files_that_were_at_the_destination_are_a_part_of_the_output(bench, store, write):
    store.put("up/before.txt", b"before")
    manifest = write(bench.output("up", mode="upload", store=store), "x.txt")
    expected = [
        entry(store, "up/before.txt", "before.txt", "before"),
        entry(store, "up/x.txt", "x.txt", "new x.txt"),
    ]
    assert exactly(manifest) == exactly(expected)


def test_an_upload_copies_where_it_can_t_move(bench, write, monkeypatch):
    def other_file_system(*_):
        raise OSError(18, "Invalid cross-device link")

    real = os.replace
    monkeypatch.setattr(
        publishing.os, "replace", lambda a, b: other_file_system() if "outputs" in str(a) else real(a, b)
    )
    manifest = write(bench.output("up", mode="upload"), "a.txt", "b/c.txt")
    assert [e.path for e in manifest] == ["a.txt", "b/c.txt"]
    assert bench.data.get("up/b/c.txt") == b"new b/c.txt"


@BOTH
@pytest.mark.parametrize(
    ("globs", "names"),
    [
        (("*.txt",), ["a.txt"]),
        (("**/*.txt",), ["a.txt", "sub/c.txt"]),
        (("sub/*", "*.bin"), ["b.bin", "sub/c.txt"]),
    ],
)
def test_globs_choose_what_is_uploaded(bench, store, write, globs, names):
    manifest = write(
        bench.output("up", mode="upload", globs=globs, store=store), "a.txt", "b.bin", "sub/c.txt"
    )
    assert [e.path for e in manifest] == names
    assert sorted(info.path for info in store.walk("up")) == [f"up/{name}" for name in names]


def test_both_kinds_of_store_give_the_same_digest(bench, memory, write):
    digests = {
        write(bench.output("o", store=store, mode="upload"), "a", "b/c").digest
        for store in (bench.data, memory)
    }
    assert len(digests) == 1


# --- source ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["mount", "upload"])
@pytest.mark.parametrize("source", ["made/here", "{folder}/absolute"])
def test_the_script_writes_at_the_source(bench, write, mode, source):
    source = source.format(folder=bench.folder)
    script = WRITE + f"    assert top.endswith({source!r}), top\n"
    manifest = write(bench.output("o", mode=mode, source=source), "a.txt", script=script)
    assert [e.path for e in manifest] == ["a.txt"]
    assert bench.data.get("o/a.txt") == b"new a.txt"


def test_a_mounted_source_is_a_link_that_is_taken_away(bench, write):
    place = bench.folder / "link"
    write(bench.output("o", source=str(place)), "a.txt")
    assert not os.path.lexists(place)
    assert bench.data.get("o/a.txt") == b"new a.txt"


def test_a_source_that_is_in_use_is_not_replaced(bench, write):
    place = bench.folder / "mine"
    place.mkdir()
    (place / "x").write_text("x")
    with pytest.raises(DataError, match="output 'made': its source"):
        write(bench.output("o", source=str(place)), "a.txt")
    assert (place / "x").read_text() == "x"


# --- what is in the way ------------------------------------------------------------------------------------------


def test_a_file_where_the_folder_is_to_be_is_named(bench, write):
    bench.data.put("o", b"a file")
    for path in ("o", "o/below"):
        with pytest.raises(DataError, match="output 'made': can't make the folder .* is a file"):
            write(bench.output(path), "a.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_destination_that_can_t_be_written_is_named(bench, write):
    os.makedirs(bench.folder / "data")
    os.chmod(bench.folder / "data", 0o500)
    with pytest.raises(DataError, match="output 'made' can't be written"):
        write(bench.output("o"), "a.txt")


def test_a_disk_that_takes_no_more_fails_the_step_and_records_nothing(bench, write, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalStore, "upload", full)
    with pytest.raises(MlPipelinesError, match="output 'made' can't be written to .*No space left on device"):
        write(bench.output("up", mode="upload", source="made"), "a.txt")
    assert (bench.result["status"], bench.result["outputs"]) == ("failed", {})


def test_what_is_neither_file_nor_folder_is_no_part_of_an_output(bench, write):
    script = "import os, sys; os.mkfifo(sys.argv[1] + '/pipe'); open(sys.argv[1] + '/f', 'w')"
    for mode in ("mount", "upload"):
        assert [e.path for e in write(bench.output(f"o/{mode}", mode=mode), script=script)] == ["f"]


@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_an_output_that_is_neither_file_nor_folder_is_named(bench, write, mode):
    script = "import os, sys; os.mkfifo(sys.argv[1])"
    with pytest.raises(DataError, match="output 'made': .* is neither a file nor a folder"):
        write(bench.output("o", mode=mode, create=False), script=script)


def test_a_file_name_that_is_not_utf8_is_named(bench, write):
    script = "import os, sys; open(os.fsencode(sys.argv[1]) + b'/\\xff', 'w')"
    for mode in ("mount", "upload"):
        with pytest.raises(DataError, match="output 'made': the name of file .* is not UTF-8"):
            write(bench.output(f"o/{mode}", mode=mode), script=script)


@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_a_link_to_a_folder_in_an_output_takes_nothing_from_that_folder(bench, write, mode):
    bench.data.put("mine/f", b"mine")
    script = f"import os, sys; os.symlink({str(bench.folder / 'data/mine')!r}, sys.argv[1] + '/d')"
    assert [e.path for e in write(bench.output("o", mode=mode), script=script)] == ["d/f"]
    assert bench.data.get("mine/f") == b"mine"


@pytest.mark.parametrize("mode", ["mount", "upload"])
def test_a_link_to_a_file_in_an_output_counts_as_the_file(bench, write, mode):
    script = "import os, sys; open('f', 'w').write('x'); os.link('f', sys.argv[1] + '/f')\nos.symlink('f', sys.argv[1] + '/l')"
    assert [e.path for e in write(bench.output("o", mode=mode), script=script)] == ["f", "l"]
    assert bench.data.get("o/l") == b"x"


def test_large_outputs_have_the_digest_of_their_chunks(bench, write):
    script = "import sys\nwith open(sys.argv[1] + '/big', 'wb') as f: f.truncate((20 << 20) + 1)"
    manifest = write(bench.output("o"), script=script)
    assert manifest.entries[0].digest == digest_bytes(bytes((20 << 20) + 1))


def test_a_file_that_only_its_owner_may_read_keeps_its_bytes(bench, write):
    script = "import os, sys; p = sys.argv[1] + '/f'; open(p, 'w').write('x'); os.chmod(p, 0o600)"
    manifest = write(bench.output("o"), script=script)
    assert [e.executable for e in manifest] == [False]
    assert stat.S_IMODE(os.stat(bench.folder / "data/o/f").st_mode) == 0o600
