# SPDX-License-Identifier: MIT OR Apache-2.0
"""A build whose self-test finds a wrong answer refuses to load, says why, and leaves nothing behind."""

from lib import check, module


def main():
    check.part("the build with a wrong answer")
    for number in range(3):
        with module.LogWatch() as log:
            done = module.insmod(file=module.WRONG_ANSWER)
        check.that("insmod fails: there is no such device", done.returncode and "No such device" in done.stderr,
                   (done.returncode, done.stderr))
        said = [line for line in log.lines if "mutex" in line and "taint" not in line]
        check.equal("the kernel's log has one sentence, which names the part", said,
                    ["mutex: self-test: the hash of keys is computed wrongly by this build on this machine, "
                     "so it is not loaded"])
        module.nothing_left(f"attempt {number + 1}")
    check.part("the ordinary build")
    with module.LogWatch() as log:
        module.load()
    check.that("says nothing of its self-test", not any("self-test" in line for line in log.lines), log.lines)
    module.audit()
    module.unload()
    check.finish()


main()
