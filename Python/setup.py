"""The wheel is for one platform and any Python: the library has a C interface, and nothing is linked to the interpreter.

The library and the tool are built from the Swift package that a source distribution brings along in ``package``, unless ``scripts/build-wheel`` has put
them into the package already.
"""

import os
import pathlib
import re
import subprocess

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.dist import Distribution

here = pathlib.Path(__file__).parent.resolve()
package = here / "src" / "tmpack"
version = (package / "VERSION").read_text().strip()
if not re.fullmatch(r"\d+(\.\d+)*", version):
    raise SystemExit(f"'{version}' is no version")


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    def run(self) -> None:
        if not (package / "lib" / "libtmpack.so").exists():
            self.build()
        super().run()

    def build(self) -> None:
        stage = here / "package" / "scripts" / "stage-wheel"
        if not stage.exists():
            raise SystemExit(f"{package / 'lib'} has no library: `make wheel` builds it, scripts/build-wheel says how")
        try:
            said = subprocess.run([str(stage), str(package)], check=True, stdout=subprocess.PIPE, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"the library was not built ({error}): it takes Swift 6.3 and the development packages that package/scripts/install-dependencies names"
            ) from error
        os.environ["TMPACK_WHEEL_PLATFORM"] = said.stdout.split()[-1]

    def get_tag(self) -> tuple:
        # What scripts/stage-wheel says that the library needs of the system.
        return "py3", "none", os.environ.get("TMPACK_WHEEL_PLATFORM") or super().get_tag()[2]


setup(version=version, distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel})
