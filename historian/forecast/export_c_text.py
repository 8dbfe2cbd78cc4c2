"""Tables of constants as readable C11, and the functions that read them. No allocation, no I/O, no state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast.export_c_tables import Errors, Smooth, Tables, Trees, limits_of
from historian.forecast.export_c_trees import Tree

_COLUMNS: Final = 110
_WORDS: Final = (8, 16, 32)

_SMOOTH: Final = """
/* A sum whose terms have a coefficient at each knot of the lead; between two knots both sums count. */
static double {name}(uint32_t lead, const double terms[{terms}u])
{{
    double found = 0.0;
    for (uint32_t side = 0; side < 2u; side++) {{
        const double *const of = {name}_coefficients[knots[lead - 1u] + side];
        double sum = of[0];
        for (uint32_t i = 0; i < {terms}u; i++) {{
            sum += of[i + 1u] * terms[i];
        }}
        found += hats[lead - 1u][side] * sum;
    }}
    return found;
}}
"""

_MIDDLE: Final = """
/* The median: the season before, and of each rise its share. A rise that is missing counts as none. */
static double middle(const double *inputs, uint32_t lead)
{
    double given[RISES];
    for (uint32_t i = 0; i < RISES; i++) {
        const double rise = inputs[rises[i]];
        given[i] = isfinite(rise) ? rise : 0.0;
    }
    return inputs[SEASONAL] + shares(lead, given);
}
"""

_BESIDE_ERRORS: Final = """
/* How far each quantile lies from the median: that of the errors in training, in their size at this lead and time. */
static void beside(const double *inputs, uint32_t lead, double *found)
{
    const double cosine = inputs[COSINE], sine = inputs[SINE];
    const double cosine_2 = cosine * cosine - sine * sine, sine_2 = 2.0 * cosine * sine;
    const double waves[7] = {
        cosine, sine, cosine_2, sine_2, cosine_2 * cosine - sine_2 * sine, cosine_2 * sine + sine_2 * cosine,
        inputs[WEEKEND],
    };
    const double usual = sizes(lead, waves);
    const double size = usual < LEAST_SIZE ? LEAST_SIZE : usual; /* NaN stays */
    for (uint32_t q = 0; q < QUANTILES; q++) {
        found[q] = size * tails[q];
    }
}
"""

_BESIDE_TREES: Final = """
/* How many of its limits an input is greater than: a tree then compares small integers. */
static uint32_t rank_of(double value, uint32_t input)
{
    uint32_t low = limits_at[input], high = limits_at[input + 1u];
    if (!isfinite(value)) {
        return MISSING;
    }
    while (low < high) {
        const uint32_t half = low + (high - low) / 2u;
        if (limits[half] < value) {
            low = half + 1u;
        } else {
            high = half;
        }
    }
    return low - limits_at[input];
}

/* The leaf of one tree. */
static double leaf_of(const struct split *of, uint32_t count, const double *leaf, const uint16_t *ranks)
{
    uint32_t at = count == 0 ? LEAF : 0u;
    while ((at & LEAF) == 0) {
        const struct split *const split = &of[at];
        const uint32_t rank = ranks[split->input & ~MISSING_BELOW];
        const bool is_below = rank == MISSING ? (split->input & MISSING_BELOW) != 0 : rank <= split->limit;
        at = is_below ? split->below : split->above;
    }
    return leaf[at & ~LEAF];
}

/* How far each quantile lies from the median: the sum of the leaves of its trees. */
static void beside(const double *inputs, uint32_t lead, double *found)
{
    (void)lead; /* it is one of the inputs */
    uint16_t ranks[INPUTS];
    for (uint32_t i = 0; i < INPUTS; i++) {
        ranks[i] = (uint16_t)rank_of(inputs[i], i);
    }
    const struct split *of = splits;
    const double *leaf = leaves;
    uint32_t tree = 0;
    for (uint32_t q = 0; q < QUANTILES; q++) {
        double sum = baselines[q];
        for (uint32_t i = 0; i < trees[q]; i++) {
            const uint32_t count = tree_splits[tree++];
            sum += leaf_of(of, count, leaf, ranks);
            of += count;
            leaf += count + 1u;
        }
        found[q] = UNIT * sum;
    }
}
"""

_SORTED: Final = """
static void sort(double *values)
{
    for (uint32_t i = 1; i < QUANTILES; i++) {
        const double value = values[i];
        uint32_t to = i;
        for (; to > 0 && values[to - 1u] > value; to--) {
            values[to] = values[to - 1u];
        }
        values[to] = value;
    }
}

static void bound(double *values)
{
    for (uint32_t q = 0; q < QUANTILES; q++) {
        values[q] = values[q] < LEAST ? LEAST : values[q];
        values[q] = values[q] > MOST ? MOST : values[q];
    }
}
"""

_UNCROSS_MEDIAN: Final = """
/* What crosses gives way to the median. */
static void uncross(double *values)
{
    for (uint32_t q = MEDIAN + 1u; q < QUANTILES; q++) {
        values[q] = values[q] < values[q - 1u] ? values[q - 1u] : values[q];
    }
    for (uint32_t q = MEDIAN; q > 0u; q--) {
        values[q - 1u] = values[q - 1u] > values[q] ? values[q] : values[q - 1u];
    }
}
"""

_UNCROSS_SORT: Final = """
static void uncross(double *values)
{
    sort(values);
}
"""

_ENTRY: Final = """
bool {name}_quantiles(const double inputs[INPUTS], int64_t target_s, double quantiles[QUANTILES])
{{
    const double given = inputs[LEAD];
    for (uint32_t q = 0; q < QUANTILES; q++) {{
        quantiles[q] = (double)NAN;
    }}
    if (!(given >= 1.0 && given <= HORIZON) || floor(given) < given || target_s < 0 || target_s % STEP_S != 0) {{
        return false;
    }}
    const uint32_t lead = (uint32_t)given;
    const double median = middle(inputs, lead);
    double found[QUANTILES];
    beside(inputs, lead, found);
    for (uint32_t q = 0; q < QUANTILES; q++) {{
        found[q] += median;
        if (!isfinite(found[q])) {{
            return false;
        }}
    }}
    sort(found);
    bound(found);
    const double least = floors[(uint64_t)(target_s / STEP_S) % DAY], width = found[QUANTILES - 1u] - found[0];
    const double spread = width < least ? least : width;
    for (uint32_t q = 0; q < QUANTILES; q++) {{
        found[q] += {shift} * spread;
    }}
    uncross(found);
    bound(found);
    for (uint32_t q = 0; q < QUANTILES; q++) {{
        quantiles[q] = found[q];
    }}
    return true;
}}
"""


def body(name: str, tables: Tables, step_s: int, inputs: int) -> str:
    """All of the C file below its head."""
    horizon, quantiles = tables.calibration.shifts.shape
    shifts, shift_type = _shortest(tables.calibration.shifts)
    low, high = tables.calibration.bounds
    linear, middle = tables.linear, tables.calibration.middle
    constants = {
        "INPUTS": f"{inputs}u",
        "QUANTILES": f"{quantiles}u",
        "HORIZON": f"{horizon}u",
        "STEP_S": str(step_s),
        "DAY": f"{len(tables.calibration.floor)}u /* steps */",
        "LEAD": f"{linear.lead}u /* inputs, by their place */",
        "SEASONAL": f"{linear.seasonal}u",
        "RISES": f"{len(linear.rises)}u",
        "LEAST": number(low),
        "MOST": number(high),
        **({} if middle is None else {"MEDIAN": f"{middle}u /* a quantile */"}),
    }
    parts = [
        "\n".join(f"#define {key} {value}" for key, value in constants.items()),
        "",
        "/* Inputs that are differences. */",
        f"static const {unsigned(inputs)} rises[RISES] = {{{', '.join(map(str, linear.rises))}}};",
        "",
        *_hats(linear.shares),  # those of the sizes of errors are the same
        "",
        *_smooth("shares", linear.shares),
        _MIDDLE,
        *(_trees(tables.beside, inputs) if isinstance(tables.beside, Trees) else _errors(tables.beside)),
        "/* What is added to each quantile at each lead, in spreads: the calibration. */",
        *array(f"static const {shift_type} shifts[HORIZON][QUANTILES]", shifts),
        "",
        "/* The least spread at each step of the day, of UTC. */",
        *array("static const double floors[DAY]", [list(map(number, tables.calibration.floor))]),
        _SORTED,
        (_UNCROSS_SORT if middle is None else _UNCROSS_MEDIAN).lstrip("\n"),
        _ENTRY.strip("\n").format(
            name=name, shift=("" if shift_type == "double" else "(double)") + "shifts[lead - 1u][q]"
        ),
    ]
    return "\n".join(parts) + "\n"


def _hats(smooth: Smooth) -> list[str]:
    return [
        "/* Of each lead the knot at or before it, and how much that and the next one count. */",
        *array(
            f"static const {unsigned(int(smooth.knots.max()))} knots[HORIZON]",
            [[str(knot) for knot in smooth.knots]],
        ),
        *array("static const double hats[HORIZON][2]", [list(map(number, pair)) for pair in smooth.hats]),
    ]


def _smooth(name: str, smooth: Smooth) -> list[str]:
    terms = smooth.coefficients.shape[1] - 1
    rows = [list(map(number, row)) for row in smooth.coefficients]
    return [
        *array(f"static const double {name}_coefficients[{len(rows)}][{terms + 1}]", rows),
        _SMOOTH.format(name=name, terms=terms).rstrip("\n"),
    ]


def _errors(errors: Errors) -> list[str]:
    return [
        f"#define SINE {errors.sine}u",
        f"#define COSINE {errors.cosine}u",
        f"#define WEEKEND {errors.weekend}u",
        f"#define LEAST_SIZE {number(errors.least)}",
        "",
        *_smooth("sizes", errors.sizes),
        "",
        *array("static const double tails[QUANTILES]", [list(map(number, errors.tails))]),
        _BESIDE_ERRORS,
    ]


def _trees(trees: Trees, inputs: int) -> list[str]:
    limits = [
        np.unique(np.concatenate([limits_of(forest, place) for forest in trees.forests]))
        for place in range(inputs)
    ]
    every = [tree for forest in trees.forests for tree in forest.trees]
    most_leaves = max((len(tree.leaves) for tree in every), default=1)
    most_limits = max(map(len, limits))
    at = np.concatenate(([0], np.cumsum([len(each) for each in limits])))
    leaf, missing_below = _top_bit(most_leaves), _top_bit(inputs)
    splits = [_splits(tree, limits, leaf, missing_below) for tree in every]
    return [
        f"#define LEAF {leaf}u /* added to the number of a leaf */",
        f"#define MISSING_BELOW {missing_below}u /* added to an input that goes below where it is missing */",
        "#define MISSING 65535u /* no rank */",
        f"#define UNIT {number(trees.unit)}",
        "",
        "/* Trees ask whether an input is at most one of its limits, which rise. */",
        *array("static const double limits[]", (list(map(number, each)) for each in limits)),
        *array(f"static const {unsigned(int(at[-1]))} limits_at[INPUTS + 1u]", [list(map(str, at))]),
        "",
        "/* Next is another split of the tree or LEAF + one of its leaves. */",
        "struct split {",
        f"    {unsigned(2 * missing_below - 1)} input;",
        f"    {unsigned(most_limits)} limit; /* the input is at most this one of its limits: below */",
        f"    {unsigned(2 * leaf - 1)} below, above;",
        "};",
        "/* Tree by tree, each from its root on. */",
        *array("static const struct split splits[]", splits),
        "/* In the same order; a tree has one more than splits. */",
        *array("static const double leaves[]", (list(map(number, tree.leaves)) for tree in every)),
        *array(
            f"static const {unsigned(most_leaves)} tree_splits[]", [[str(len(tree.inputs)) for tree in every]]
        ),
        *array(
            f"static const {unsigned(max(len(forest.trees) for forest in trees.forests))} trees[QUANTILES]",
            [[str(len(forest.trees)) for forest in trees.forests]],
        ),
        *array(
            "static const double baselines[QUANTILES]",
            [[number(forest.baseline) for forest in trees.forests]],
        ),
        _BESIDE_TREES,
    ]


def _splits(tree: Tree, limits: Sequence[NDArray[np.float64]], leaf: int, missing_below: int) -> list[str]:
    found = []
    for split, place in enumerate(tree.inputs):
        # An infinite threshold is past all limits of its input.
        limit = int(np.searchsorted(limits[place], tree.thresholds[split]))
        given = int(place) + (missing_below if tree.missing_below[split] else 0)
        below, above = (
            at if at >= 0 else leaf + ~at for at in (int(tree.below[split]), int(tree.above[split]))
        )
        found.append(f"{{{given}, {limit}, {below}, {above}}}")
    return found


def _top_bit(count: int) -> int:
    """Above all numbers below ``count``, and the top bit of a word."""
    return next(1 << bits - 1 for bits in _WORDS if count <= 1 << bits - 1)


def unsigned(most: int) -> str:
    """The least type that holds numbers so great."""
    return next(f"uint{bits}_t" for bits in _WORDS if most < 1 << bits)


def _shortest(values: NDArray[np.float64]) -> tuple[list[list[str]], str]:
    """As floats where that is exact, else as doubles."""
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
    if (singles == values).all():
        return [[number(value) + "f" for value in row] for row in singles], "float"
    return [[number(value) for value in row] for row in values], "double"


def number(value: float | np.floating) -> str:
    """The shortest text that is read as the same number."""
    if np.isinf(value):
        return "((double)INFINITY)" if value > 0 else "(-(double)INFINITY)"
    return str(value if isinstance(value, np.float32) else float(value))


def array(declared: str, rows: Iterable[Sequence[str]]) -> list[str]:
    """A definition; rows begin on lines of their own. In two dimensions (``[][]``) each row has its braces."""
    nested = declared.count("[") == 2
    lines = [f"{declared} = {{"]
    for row in rows:
        if row:
            lines.extend(_wrapped(row, *(("    {", "},") if nested else ("    ", ","))))
    if len(lines) == 1:
        lines.append("    0," if "struct" not in declared else "    {0},")  # an array holds something
    return [*lines, "};"]


def _wrapped(items: Sequence[str], begin: str, end: str) -> list[str]:
    lines, line = [], begin
    for item in items[:-1]:
        if len(line) + len(item) + 2 > _COLUMNS:
            lines.append(line.rstrip())
            line = " " * len(begin)
        line += item + ", "
    if len(line) + len(items[-1]) + len(end) > _COLUMNS:
        lines.append(line.rstrip())
        line = " " * len(begin)
    return [*lines, line + items[-1] + end]
