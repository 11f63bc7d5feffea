"""Is a file that nanoae writes the old one or the whole new one, whatever happens meanwhile?"""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nanoae.cli.output import run_folder
from nanoae.whole_file import check_writable, whole_file

OLD, NEW = b"old" * 1000, b"new, and longer" * 50_000
posix = pytest.mark.skipif(os.name == "nt", reason="permissions and locks of POSIX")


def write(path, content=NEW):
    with whole_file(path) as file:
        file.write(content)


def test_the_new_file_appears_whole_and_alone(tmp_path):
    path = tmp_path / "a.bin"
    with whole_file(path) as file:
        file.write(NEW)
        assert not path.exists()
    assert path.read_bytes() == NEW and os.listdir(tmp_path) == ["a.bin"]
    with whole_file(path, "w") as file:
        file.write("é\n")
    assert path.read_bytes() == "é\n".encode()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_in_the_block_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(OLD)
    with pytest.raises(error), whole_file(path) as file:
        file.write(NEW)
        raise error
    assert path.read_bytes() == OLD and os.listdir(tmp_path) == ["a.bin"]


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_and_links_are_kept_and_new_files_get_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "new")
        old = tmp_path / "old"
        old.touch()
        old.chmod(0o640)
        (tmp_path / "link").symlink_to("old")
        (tmp_path / "dangling").symlink_to("made")
        write(tmp_path / "link")
        write(tmp_path / "dangling")
    finally:
        os.umask(before)
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old", "made")
    }
    assert modes == {"new": 0o666 & ~mask, "old": 0o640, "made": 0o666 & ~mask}
    assert (tmp_path / "link").is_symlink() and (tmp_path / "dangling").is_symlink()
    assert old.read_bytes() == NEW and (tmp_path / "made").read_bytes() == NEW


KILLED = """
import os, signal, sys
from nanoae.whole_file import whole_file
os.getpid = lambda: 7
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    signal.raise_signal(signal.SIGKILL)
"""


@posix
def test_what_killed_writers_left_goes_and_what_others_write_stays(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "b")], check=False)
    (left,) = os.listdir(tmp_path)
    # as in a container, where every command has the same number
    monkeypatch.setattr(os, "getpid", lambda: 7)
    # not ours, and to open it could last for ever
    os.mkfifo(tmp_path / ".nanoae-0123456789abcdef.part")
    with whole_file(tmp_path / "b") as other:
        assert not (tmp_path / left).exists()
        write(tmp_path / "c")
        other.write(NEW)
    assert (tmp_path / "b").read_bytes() == NEW and (tmp_path / "c").read_bytes() == NEW


@pytest.mark.parametrize(
    ("place", "kind"),
    [("nowhere/a", FileNotFoundError), (".", OSError), (os.devnull, OSError), ("file/a", OSError)],
)
def test_a_place_that_cannot_be_written_is_told_by_name(tmp_path, monkeypatch, place, kind):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for attempt in (write, check_writable):
        with pytest.raises(kind, match="expected a file that can be written") as told:
            attempt(place)
        assert str(Path(place)) in str(told.value)
    assert os.listdir() == ["file"]


def test_many_threads_write_one_file(tmp_path):
    contents = [bytes([n]) * 100_000 for n in range(8)]
    threads = [
        threading.Thread(target=write, args=(tmp_path / "a", content)) for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() in contents


@posix
def test_two_runs_in_one_folder(tmp_path):
    with run_folder(tmp_path / "run"):
        with pytest.raises(OSError, match="another run writes to it"), run_folder(tmp_path / "run"):
            pass
        assert (tmp_path / "run").exists()
    with run_folder(tmp_path / "run"):  # which the first has left
        pass


FAULTS = """
import ctypes, errno, json, os, sys
import numpy as np
import nanoae
from nanoae.whole_file import whole_file

fault = ctypes.CDLL(os.environ["LD_PRELOAD"])
fault.recorded.restype = ctypes.c_char_p
old, new = b"old" * 1000, b"new, and longer" * 5000
found, outcomes = set(), []
for name, code in [("ENOSPC", errno.ENOSPC), ("EIO", errno.EIO), ("EINTR", errno.EINTR), ("short write", 0)]:
    for n in range(1, 100):
        with open("a.bin", "wb") as file:
            file.write(old)
        fault.arm(n, code)
        try:
            with whole_file("a.bin") as file:
                for start in range(0, len(new), 20_000):
                    file.write(new[start : start + 20_000])
            result = "written"
        except OSError as error:
            result = "told" if "a.bin" in str(error) else f"without its name: {error}"
        calls = fault.calls()
        fault.arm(0, 0)
        content = open("a.bin", "rb").read()
        state = "new" if content == new else "old" if content == old else "damaged"
        call = fault.recorded(n - 1).decode() if n <= calls else "none"
        outcomes.append([name, call, result, state])
        if n > calls:
            break
with whole_file("a.bin"):
    pass
print(json.dumps({"outcomes": outcomes, "left": os.listdir()}))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler"
)
def test_no_system_call_that_fails_leaves_a_damaged_file(tmp_path):
    library = tmp_path / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    (tmp_path / "run").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={**os.environ, "LD_PRELOAD": str(library)},
        cwd=tmp_path / "run",
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["left"] == ["a.bin"]
    calls = {call for _, call, _, _ in told["outcomes"]}
    assert {"open", "write", "fsync", "flock", "rename", "close"} <= calls
    for fault, call, result, state in told["outcomes"]:
        assert state in ("old", "new") and result in ("written", "told"), (
            fault,
            call,
            result,
            state,
        )
        assert state == "new" or result == "told", (fault, call)  # nothing is lost in silence
        if call == "write":
            assert (state, result) == (
                ("old", "told") if fault in ("ENOSPC", "EIO") else ("new", "written")
            )
