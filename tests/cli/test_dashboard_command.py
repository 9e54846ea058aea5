import socket
import subprocess
import time
import urllib.request

import pytest
from user import EFFSEARCH, environment, run


def test_the_dashboard_serves_the_study_of_a_run(tmp_path):
    pytest.importorskip("optuna_dashboard", reason="needs the extra [dashboard]")
    made = run(tmp_path, "nas", "--evaluator", "prior", "--target-flops", "300M", "--trials", "5", "--run", "mine")
    assert made.returncode == 0, made.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [*EFFSEARCH, "dashboard", "mine", "--port", str(port)],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert b"effsearch" in answer(f"http://127.0.0.1:{port}/api/studies")
    finally:
        server.terminate()
        server.wait(20)


def answer(url: str) -> bytes:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return page.read()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def test_what_cannot_be_opened_is_one_line(tmp_path):
    for arguments, said in (
        (["--port", "0"], "--port must be from 1 to 65,535, got 0"),
        (["nothing"], "no run 'nothing'"),
    ):
        done = run(tmp_path, "dashboard", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
