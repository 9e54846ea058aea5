"""Measures the page of a search of 1,000 networks: seconds to write it, bytes, and milliseconds until it is shown.

    python benchmarks/report.py [networks]

Milliseconds in Chromium from the start of navigation (performance.timing) to the load event, when the cards and the
ranking are there, and until the last figure is drawn: medians of five fresh browsers,
each with an empty profile. Needs chromium on the PATH.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

SCRIPT = """<script>
const drawn = new Promise((done) => new MutationObserver(() => done(Date.now())).observe(document.documentElement, {
  attributeFilter: ["data-drawn"] }));
addEventListener("load", async () => {
  const start = performance.timing.navigationStart;
  const at = await drawn;
  fetch(`/told?load=${performance.timing.loadEventStart - start}&drawn=${at - start}`);
});
</script>"""
BROWSERS = 5


def main() -> None:
    networks = sys.argv[1] if len(sys.argv) > 1 else "1000"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"EFFSEARCH_RESULTS": f"{folder}/results"}
        search = ["nas", "--evaluator", "prior", "--space", "b0", "--target-flops", "300M"]
        effsearch(environment, *search, "--trials", networks, "--run", "search")
        start = time.monotonic()
        effsearch(environment, "report", "search")
        seconds = time.monotonic() - start
        page = Path(folder, "results", "search", "report.html").read_text(encoding="utf-8")
    loads = [load(page) for _ in range(BROWSERS)]
    print(f"{networks} networks: written in {seconds:.1f} s, {len(page.encode()) / 1e6:.2f} MB")
    for index, what in enumerate(("load event", "all drawn")):
        times = [found[index] for found in loads]
        print(f"{what} after {statistics.median(times):.0f} ms ({min(times)} to {max(times)} ms)")


def effsearch(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run(["effsearch", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def load(page: str) -> tuple[int, int]:
    """Milliseconds to the load event and until all is drawn, as a browser tells a server that hands it the page."""
    # The page's policy would let no script of another run, nor talk to a server, so this is a copy without it.
    copy = re.sub(r"<meta http-equiv[^>]*>", SCRIPT, page, count=1).encode()
    told: list[tuple[int, int]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/told"):
                query = parse_qs(urlparse(self.path).query)
                told.append((int(query["load"][0]), int(query["drawn"][0])))
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(copy if self.path == "/" else b"")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server, tempfile.TemporaryDirectory() as profile:
        server.timeout = 60
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        where = [f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/"]
        browser = subprocess.Popen(["chromium", *options, *where], stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while not told and time.monotonic() < deadline:
                server.handle_request()
        finally:
            browser.terminate()
            browser.wait()
    assert told, "the page was not drawn"
    return told[0]


if __name__ == "__main__":
    main()
