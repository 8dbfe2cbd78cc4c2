"""A trained forecaster as one C file for a board: constant tables and one function, from inputs to quantiles.

    export_c(forecaster, Path("load.c"), "load")  # load.c and load.h

The C is free of the host: C11, no allocation, no state. Before anything is written, its tables are checked against
what the forecaster itself says of some hundred rows.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from historian.forecast.export_c_inputs import plan_macro
from historian.forecast.export_c_tables import check, tables_of
from historian.forecast.export_c_text import body
from historian.forecast.export_c_trees import ExportError
from historian.libraries import load

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_HEADER: Final = """\
{about}
#ifndef {upper}_FORECAST_H
#define {upper}_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#define {upper}_INPUTS {inputs}
#define {upper}_QUANTILES {quantiles}
#define {upper}_HORIZON {horizon} /* steps */
#define {upper}_STEP_S {step_s}

/* Of this export: SHA-256 of its tables and functions, in hex. Expect it, to run no other. */
extern const char {name}_digest[65];
/* Of the inputs and parameters it was trained with; forecasts in Python tell it as attrs["digest"]. */
extern const char {name}_model_digest[65];
/* Of the manifest of its features. */
extern const char {name}_features_digest[65];
extern const char *const {name}_input_names[{upper}_INPUTS];
extern const double {name}_levels[{upper}_QUANTILES]; /* of the quantiles */

/* The forecast of one step. `inputs` in the order of the names, finite, or NaN where missing (infinite ones count
 * as missing); the lead is 1 to {upper}_HORIZON. `target_s` is the time of the step that is forecast, in seconds
 * since 1970 (UTC), a multiple of {upper}_STEP_S. False, and quantiles of NaN, where there is no forecast: the
 * season before is missing, or the lead or the time are none.
 */
bool {name}_quantiles(const double inputs[{upper}_INPUTS], int64_t target_s, double quantiles[{upper}_QUANTILES]);

{plan}

#endif
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. ``digest`` is that of the header."""

    source: Path
    header: Path
    digest: str


def export_c(forecaster: Any, source: Path, name: str = "forecast") -> Exported:
    """Write a fitted ``Forecaster``, calibrated as it is now, as C: ``source`` (….c) and the header beside it (….h).

    ``name`` begins the names in C. Raises ExportError where the model has no C or the check fails, and ValueError for
    wrong names, and writes nothing then; OSError, and sklearn's NotFittedError.
    """
    load("sklearn.utils.validation", "an export").check_is_fitted(forecaster)
    if source.suffix != ".c":
        raise ValueError(f"{source} is no name of a C file: end it in .c")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot begin names in C: small letters, digits and _, at most 40")
    tables = tables_of(forecaster)
    check(forecaster, tables)
    header = source.with_suffix(".h")
    plan = forecaster.plan_
    inputs = len(plan.names)
    text = body(name, tables, plan.step_s, inputs)
    digest = hashlib.sha256(text.encode()).hexdigest()
    facts = _facts(forecaster, digest)
    upper = name.upper()
    told = _HEADER.format(
        about=_about(facts, list(plan.names)),
        upper=upper,
        name=name,
        inputs=inputs,
        quantiles=len(forecaster.quantiles),
        horizon=forecaster.horizon,
        step_s=plan.step_s,
        plan=plan_macro(plan, forecaster.horizon, name),
    )
    _write(header, told)
    _write(source, "\n".join((*_head(facts, forecaster, digest, name, header.name), text)))
    return Exported(source, header, digest)


def _facts(forecaster: Any, digest: str) -> dict[str, str]:
    return {
        "target": forecaster.plan_.target,
        "model": forecaster.model,
        "quantiles": ", ".join(f"{level:g}" for level in forecaster.quantiles),
        "steps": f"{forecaster.horizon} of {forecaster.plan_.step_s} s",
        "trained from": forecaster.trained_from_.isoformat(),
        "trained until": forecaster.trained_until_.isoformat(),
        "features": forecaster.plan_.features.digest,
        "trained with": forecaster.digest_,
        "export": digest,
    }


def _about(facts: dict[str, str], names: list[str]) -> str:
    lines = [
        "A forecaster, exported by Tieline; made, not written: train and export anew rather than edit.",
        "",
    ]
    lines += [f"    {key:<14}{value}" for key, value in facts.items()]
    lines += ["", "Its inputs:", ""]
    lines += [f"    {place:>4}  {name}" for place, name in enumerate(names)]
    return "/* " + "\n".join(f" * {_remark(line)}".rstrip() for line in lines)[3:] + "\n */"


def _head(facts: dict[str, str], forecaster: Any, digest: str, name: str, header: str) -> list[str]:
    levels = ", ".join(repr(float(level)) for level in forecaster.quantiles)
    names = [f"    {quoted(one)}," for one in forecaster.plan_.names]
    return [
        f"/* The forecast of {_remark(facts['target'])}, by {forecaster.model}: see {_remark(header)}. */",
        f"#include {quoted(header)}",
        "",
        "#include <math.h>",
        "",
        f"const char {name}_digest[65] = {quoted(digest)};",
        f"const char {name}_model_digest[65] = {quoted(forecaster.digest_)};",
        f"const char {name}_features_digest[65] = {quoted(forecaster.plan_.features.digest)};",
        f"const double {name}_levels[] = {{{levels}}};",
        f"const char *const {name}_input_names[] = {{",
        *names,
        "};",
        "",
    ]


def _remark(text: str) -> str:
    """In a comment, which names of columns must not end."""
    plain = "".join(char if char.isascii() and char.isprintable() else ascii(char)[1:-1] for char in text)
    return plain.replace("*/", "* /").replace("/*", "/ *")


def quoted(text: str) -> str:
    """A string of C, its bytes in UTF-8; a question mark may begin a trigraph."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{plain}"'


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, encoding="ascii")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


__all__ = ["ExportError", "Exported", "export_c"]
