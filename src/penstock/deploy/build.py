"""Building code: what a function's or layer's folder needs before it can be packed.

A build method that is not executed here is refused by name; code of other runtimes is packed as it is. See "Default
build with AWS SAM" in the SAM Developer Guide.
"""

from __future__ import annotations

import re

from penstock.base.errors import TemplateError
from penstock.deploy import node_code, packages, python_code
from penstock.deploy.packages import Files, Package
from penstock.deploy.workshop import Code, Say, Workshop

_PYTHON = re.compile(r"python3\.\d+$")
_NODE = re.compile(r"nodejs\d+\.x$")


def check(code: Code) -> None:
    """TemplateError when the code is not there, or its BuildMethod is none of ours: nothing is built for that."""
    if code.path.is_file():
        return
    if not code.path.is_dir():
        raise TemplateError(f"{code.property_} is {code.path}, which does not exist; name a folder or a zip file")
    if code.method is not None and not (_is_bundled(code) or _PYTHON.match(code.method) or _NODE.match(code.method)):
        raise TemplateError(
            f"BuildMethod {code.method!r} is not executed here; build it yourself and set {code.property_} to the "
            "folder or zip file that comes out, without the BuildMethod"
        )


def _is_bundled(code: Code) -> bool:
    return code.method == "esbuild" and not code.layer


def build(code: Code, workshop: Workshop, say: Say = lambda text: None) -> Package:
    """Build and pack one function's or layer's code; TemplateError when that cannot be done here."""
    check(code)
    if code.path.is_file():
        return packages.adopt(code.path, workshop.code)
    if _is_bundled(code):
        return node_code.bundle(code, workshop, say)
    files = _files(code, workshop, say)
    if not files:
        raise TemplateError(f"{code.property_} is {code.path}, which holds no file; put the code there")
    return packages.pack(files, workshop.code, what=code.logical_id)


def _files(code: Code, workshop: Workshop, say: Say) -> Files:
    # Without a BuildMethod a function is built as its runtime is; a layer is what its folder holds.
    method = code.method or ("" if code.layer else code.runtime or "")
    if _PYTHON.match(method):
        return python_code.files(code, workshop, say)
    if _NODE.match(method):
        return node_code.files(code, workshop, say)
    return packages.files_of(code.path, leave_out=workshop.leave_out)
