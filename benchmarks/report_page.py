"""The report on 60,000 rows of 784: the time to write it, and to open it in Chromium up to the first image.

>>> python -m benchmarks.report_page
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import nanoae
from benchmarks.machine import machine
from benchmarks.table import markdown, save
from nanoae.report import write_report

ROUNDS = 9
SEEN = """
new MutationObserver(() => {
  if (window.shown || !document.querySelector("#explorer canvas")) return;
  window.shown = true;
  requestAnimationFrame(() => setTimeout(() => {
    window.seen = performance.now();
    document.documentElement.dataset.seen = "yes";
  }));
}).observe(document, {childList: true, subtree: true});
"""


def opened(file: Path) -> tuple[list[float], list[float]]:
    """Milliseconds to the load event, and to the first image in the explorer, of each round, in a fresh page."""
    from playwright.sync_api import sync_playwright

    loads, images = [], []
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for _ in range(ROUNDS):
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script(SEEN)
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-seen]")  # the page lets no string be evaluated
            loads.append(
                page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
            )
            images.append(page.evaluate("window.seen"))
            page.close()
        chromium.close()
    return loads, images


def main() -> None:
    data = nanoae.load_data("mnist")
    x, _ = data.flat()
    rows = []
    for name, model in {
        "Autoencoder(32, (128,))": nanoae.Autoencoder(32, (128,), epochs=1, random_state=0),
        "VariationalAutoencoder(20, (400,))": nanoae.VariationalAutoencoder(20, (400,), epochs=1, random_state=0),
    }.items():  # fmt: skip
        model.fit(x)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.html"
            started, used = time.perf_counter(), time.process_time()
            write_report(file, model, x, data.y_train, shape=data.shape)
            written = time.perf_counter() - started
            used = time.process_time() - used
            loads, images = opened(file)
            size = file.stat().st_size
        cells = [f"{written:.1f} s", f"{used:.1f} s", f"{size / 1e6:.1f} MB"]
        for times in (loads, images):
            least, median = min(times), statistics.median(times)
            cells.append(f"{least / 1e3:.2f}, {median / 1e3:.2f}, {max(times) / 1e3:.2f} s")
        rows.append([name, *cells])
    info = machine()
    text = "\n\n".join([
        "# The report on the 60,000 training images of MNIST",
        f"Written once; opened {ROUNDS} times in headless Chromium, each time in a new page: minimum, "
        "median, maximum. The first image is the explorer's, drawn by the decoder in the page.",
        markdown(["model", "written in", "CPU time of that", "size", "load event", "first image"], rows),
        f"{info['cpu']}, {info['versions']}. {os.cpu_count()} cores, on which "
        f"{os.getloadavg()[1]:.0f} processes wanted to run.",
    ])  # fmt: skip
    save("report_page", text)
    print(text)


if __name__ == "__main__":
    main()
