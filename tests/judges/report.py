# SPDX-License-Identifier: MIT OR Apache-2.0
"""The report in a browser: on a telephone, on a desk, in the dark, on paper."""

import pathlib
import re
import subprocess
import sys

from browser import Browser
from lib import check
from looks import CONTRAST, SMALLEST, TOO_WIDE

PICTURES = pathlib.Path(sys.argv[1]) / "out/judges"

# Texts of plots that lie over one another or over the plot's edge.
CROWDED = """
    [...document.querySelectorAll('svg.plot')].flatMap(svg => {
        const all = [...svg.querySelectorAll('text')], box = svg.getBoundingClientRect();
        const of = one => one.getBoundingClientRect();
        const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4;
        return all.flatMap((one, at) => [
            ...(of(one).left < box.left - 1 || of(one).right > box.right + 1 ? [`${one.textContent} is cut off`] : []),
            ...all.slice(at + 1).filter(other => meet(of(one), of(other))).map(other => `${one.textContent} / ${other.textContent}`)])
    })"""

def judge(browser, name, page):
    check.part(name)
    browser.open(page, 1280, 900)
    check.equal("nothing is asked for but the file", browser.requests, [f"file://{page}"])
    check.equal("the console is silent", browser.complaints, [])
    check.equal("nothing runs", browser.ask("document.scripts.length"), 0)
    check.equal("it is HTML as it should be", browser.ask("document.compatMode"), "CSS1Compat")
    for screen, width, height, mobile, scheme in (
            ("desk", 1280, 900, False, "light"), ("dark", 1280, 900, False, "dark"),
            ("phone", 390, 844, True, "light"), ("narrow", 320, 640, True, "dark")):
        browser.open(page, width, height, mobile, scheme)
        check.equal(f"{screen}: nothing is wider than the screen", browser.ask(TOO_WIDE), [])
        check.that(f"{screen}: the page is as wide as the screen",
                   browser.ask("document.documentElement.scrollWidth") <= width and browser.ask("innerWidth") == width,
                   f"{browser.ask('document.documentElement.scrollWidth')} of {width}")
        check.equal(f"{screen}: plots are not crowded", browser.ask(CROWDED), [])
        check.that(f"{screen}: letters can be read", browser.ask(SMALLEST) >= 9.5, browser.ask(SMALLEST))
        check.that(f"{screen}: contrast", browser.ask(CONTRAST) >= 4.5, browser.ask(CONTRAST))
        browser.picture(PICTURES / f"{name}-{screen}.png")
    paper = browser.ask("getComputedStyle(document.body).backgroundColor")
    check.equal("dark is dark", paper, "rgb(20, 23, 26)")
    # From a dark screen onto white paper.
    browser("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    check.equal("paper is white", browser.ask("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
    browser("Emulation.setEmulatedMedia", media="", features=[])
    pdf = PICTURES / f"{name}.pdf"
    browser.print(pdf)
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    squeezed = re.sub(r"\s+", "", text)
    missing = [cell for cell in browser.ask("[...document.querySelectorAll('h2,p,td,th')].map(one => one.textContent)")
               if cell and re.sub(r"\s+", "", cell) not in squeezed and len(cell) < 24]
    check.equal("all of it is printed", missing, [])
    pages = int(re.search(r"Pages:\s+(\d+)", subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout)[1])
    check.that("on some pages", 1 <= pages <= 20, pages)
    subprocess.run(["pdftoppm", "-r", "60", "-png", pdf, PICTURES / f"{name}-page"], check=True)


def main():
    reports = {"recording": ["--from", "/judged/whole"], "alerts": ["--from", "/judged/alerts.bin", "--top", "5"]}
    for name, words in reports.items():
        done = subprocess.run(["mutexctl", "report", *words, "-o", f"/tmp/{name}.html"], capture_output=True, text=True)
        check.equal(f"a report of {words[1]}", (done.returncode, done.stdout), (0, ""))
    browser = Browser()
    for name in reports:
        judge(browser, name, f"/tmp/{name}.html")
    browser.close()
    check.finish()


main()
