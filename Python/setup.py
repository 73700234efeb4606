"""The wheel is for one platform and any Python: the library has a C interface, and nothing is linked to the interpreter."""

import os
import pathlib
import re

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.dist import Distribution

here = pathlib.Path(__file__).parent
library = here / "src" / "tmpack" / "lib" / "libtmpack.so"
if not library.exists() and "TMPACK_WITHOUT_LIBRARY" not in os.environ:
    raise SystemExit(f"{library} is not there: `make wheel` builds it, scripts/build-wheel says how")
version = (here / "src" / "tmpack" / "VERSION").read_text().strip()
if not re.fullmatch(r"\d+(\.\d+)*", version):
    raise SystemExit(f"'{version}' is no version")


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple:
        # scripts/build-wheel says what the library needs of the system.
        return "py3", "none", os.environ.get("TMPACK_WHEEL_PLATFORM") or super().get_tag()[2]


setup(version=version, distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel})
