"""A scan of 50 PID blocks, 200 timers and 1,000 lines: compiled Structured Text beside the same by hand in C.

    python benchmarks/plc.py [--rounds N] [--runs N]

Both are built by the same compiler at -O2 with the same element types, loaded into one process and run in turn, so
that a noisy machine disturbs them alike; what is printed is the median over the rounds. By hand means: no run-time
checks, a static function a block, signed sums as C makes them (a cast after each, as the types are narrow).
The line mix is 36 % REAL, 25 % DINT, 30 % BOOL and comparison, 5 % division by a variable, 4 % array elements by a
variable index.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from plc.compiler.build import FLAGS, Options, build, compiler, include_flags, translate
from plc.language.source import Source

PIDS, TIMERS, LINES = 50, 200, 1000
REALS, WHOLES, FLAGS_COUNT, ELEMENTS = 100, 100, 100, 64
SEED = 3

ST_PID = """
FUNCTION_BLOCK Pid
VAR_INPUT setpoint, actual : REAL; kp : REAL := 1.2; ti : REAL := 4.0; low : REAL := -100.0; high : REAL := 100.0;
 manual : BOOL; manual_output : REAL; END_VAR
VAR_OUTPUT output : REAL; limited : BOOL; END_VAR
VAR integral, last, deviation, slope : REAL; END_VAR
deviation := setpoint - actual;
slope := (deviation - last) * 1000.0;
last := deviation;
IF manual THEN
  output := manual_output;
  integral := manual_output - kp * deviation;
ELSE
  output := kp * deviation + integral + 0.01 * slope;
  limited := output > high OR output < low;
  IF NOT limited THEN integral := integral + deviation * kp * 0.001 / ti; END_IF;
  IF output > high THEN output := high; ELSIF output < low THEN output := low; END_IF;
END_IF;
END_FUNCTION_BLOCK
"""
C_PID = """
struct pid { float setpoint, actual, kp, ti, low, high; bool manual; float manual_output; float output; bool limited;
 float integral, last, deviation, slope; };
static __attribute__((noinline)) void pid(struct pid *p)
{
    p->deviation = p->setpoint - p->actual;
    p->slope = (p->deviation - p->last) * 1000.0f;
    p->last = p->deviation;
    if (p->manual) {
        p->output = p->manual_output;
        p->integral = p->manual_output - p->kp * p->deviation;
    } else {
        p->output = p->kp * p->deviation + p->integral + 0.01f * p->slope;
        p->limited = p->output > p->high || p->output < p->low;
        if (!p->limited) p->integral = p->integral + p->deviation * p->kp * 0.001f / p->ti;
        if (p->output > p->high) p->output = p->high;
        else if (p->output < p->low) p->output = p->low;
    }
}
struct ton { bool in; int64_t pt; bool q; int64_t et, start; bool running; };
static __attribute__((noinline)) void ton(struct ton *t, int64_t now)
{
    if (!t->in) { t->running = false; t->et = 0; t->q = false; return; }
    if (!t->running) { t->running = true; t->start = now; }
    t->et = now - t->start;
    if (t->et > t->pt) t->et = t->pt;
    t->q = t->et >= t->pt;
}
"""

# Runs both by turns and prints nanoseconds a scan of each round.
DRIVER = r"""
#include "program.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static _Alignas(64) char state[1 << 20];
static _Alignas(64) char other[1 << 20];
int main(int count, char **paths)
{
    const int rounds = atoi(paths[1]), scans = 2000;
    void *checked = dlopen(paths[2], RTLD_NOW), *unchecked = dlopen(paths[3], RTLD_NOW);
    void *hand = dlopen(paths[4], RTLD_NOW);
    if (count != 5 || !checked || !unchecked || !hand) return 1;
    const struct tl_program *programs[2] = {dlsym(checked, "tl_program_v1"), dlsym(unchecked, "tl_program_v1")};
    void (*hand_init)(void) = (void (*)(void))dlsym(hand, "hand_init");
    void (*hand_scan)(int64_t) = (void (*)(int64_t))dlsym(hand, "hand_scan");
    char *states[2] = {state, other};
    struct tl_scan scan = {0};
    for (int i = 0; i < 2; i++) programs[i]->init(&scan, states[i]);
    hand_init();
    int64_t clock = 0;
    for (int round = 0; round < rounds; round++) {
        double spent[3];
        for (int i = 0; i < 3; i++) {
            const int64_t start = now();
            for (int turn = 0; turn < scans; turn++) {
                const int64_t at = clock + turn * 1000000ll;
                if (i == 2) { hand_scan(at); continue; }
                scan.now_ns = at;
                scan.loop_budget = 1000000;
                if (!tl_program_step(&programs[i]->tasks[0], &scan, states[i])) {
                    fprintf(stderr, "fault %u line %u\n", scan.fault, scan.fault_line);
                    return 1;
                }
            }
            spent[i] = (double)(now() - start) / scans;
        }
        clock += scans * 1000000ll;
        printf("%f %f %f\n", spent[0], spent[1], spent[2]);
    }
    return 0;
}
"""


def make_lines(chance: random.Random) -> list[tuple[str, str]]:
    """Each line in Structured Text and in C."""
    found: list[tuple[str, str]] = []
    for _ in range(LINES):
        kind = chance.random()
        a, b, c = (chance.randrange(100) for _ in range(3))
        if kind < 0.36:
            one, two = chance.choice("+-*"), chance.choice("+-")
            k = round(chance.uniform(0.1, 0.9), 3)
            found.append(
                (
                    f"r{a} := (r{b} {one} r{c}) * {k} {two} r{a} * 0.1;",
                    f"v.r{a} = (v.r{b} {one} v.r{c}) * {k}f {two} v.r{a} * 0.1f;",
                )
            )
        elif kind < 0.61:
            one, two = chance.choice("+-*"), chance.choice("+-")
            st = f"d{a} := d{b} {one} d{c} {two} {chance.randrange(100)};"
            found.append((st, wrapped_c(st)))
        elif kind < 0.91:
            one, two = chance.choice(["AND", "OR"]), chance.choice(["AND", "OR"])
            word = {"AND": "&&", "OR": "||"}
            found.append(
                (
                    f"b{a} := (b{b} {one} NOT b{c}) {two} (r{a} > r{b});",
                    f"v.b{a} = (v.b{b} {word[one]} !v.b{c}) {word[two]} (v.r{a} > v.r{b});",
                )
            )
        elif kind < 0.96:
            found.append(
                (f"r{a} := r{b} / (r{c} * r{c} + 1.0);", f"v.r{a} = v.r{b} / (v.r{c} * v.r{c} + 1.0f);")
            )
        else:
            found.append(
                (
                    f"a[i] := a[j] + r{a}; j := i; i := (i + 7) MOD {ELEMENTS};",
                    f"v.a[v.i] = v.a[v.j] + v.r{a}; v.j = v.i; v.i = (int16_t)((v.i + 7) % {ELEMENTS});",
                )
            )
    return found


def wrapped_c(statement: str) -> str:
    """DINT arithmetic by hand: unsigned, so that it wraps."""
    target, _, rest = statement.rstrip(";").partition(" := ")
    words = [f"(uint32_t)v.{word}" if word.startswith("d") else word for word in rest.split()]
    return f"v.{target} = (int32_t)({' '.join(words[:-1])} {words[-1]}u);"


def structured_text(lines: list[tuple[str, str]]) -> str:
    reals = "".join(f" r{n} : REAL := {n / 7:.3f};" for n in range(REALS))
    wholes = "".join(f" d{n} : DINT := {n};" for n in range(WHOLES))
    flags = "".join(f" b{n} : BOOL;" for n in range(FLAGS_COUNT))
    pids = "".join(f"pid{n}(setpoint := r{n}, actual := r{n + 50});\n" for n in range(PIDS))
    timers = "".join(f"t{n}(IN := b{n % 100}, PT := T#{n + 1}ms);\n" for n in range(TIMERS))
    instances = "".join(f" pid{n} : Pid;" for n in range(PIDS)) + "".join(
        f" t{n} : TON;" for n in range(TIMERS)
    )
    body = "\n".join(st for st, _ in lines)
    return (
        f"{ST_PID}PROGRAM main\nVAR\n{reals}\n{wholes}\n{flags}\n{instances}\n"
        f" a : ARRAY [0..{ELEMENTS - 1}] OF REAL; i, j : INT;\nEND_VAR\n{pids}{timers}{body}\nEND_PROGRAM\n"
    )


def by_hand(lines: list[tuple[str, str]]) -> str:
    reals = ", ".join(f"r{n}" for n in range(REALS))
    wholes = ", ".join(f"d{n}" for n in range(WHOLES))
    flags = ", ".join(f"b{n}" for n in range(FLAGS_COUNT))
    start = "".join(f"v.r{n} = {n / 7:.3f}f; v.d{n} = {n};\n" for n in range(REALS))
    start += f"for (int n = 0; n < {PIDS}; n++) {{ struct pid *p = &v.pids[n];\n"
    start += "p->kp = 1.2f; p->ti = 4.0f; p->low = -100.0f; p->high = 100.0f; }\n"
    pids = "".join(
        f"v.pids[{n}].setpoint = v.r{n}; v.pids[{n}].actual = v.r{n + 50}; pid(&v.pids[{n}]);\n"
        for n in range(PIDS)
    )
    timers = "".join(
        f"v.t[{n}].in = v.b{n % 100}; v.t[{n}].pt = {n + 1}000000ll; ton(&v.t[{n}], now);\n"
        for n in range(TIMERS)
    )
    body = "\n".join(c for _, c in lines)
    return (
        f"#include <stdbool.h>\n#include <stdint.h>\n{C_PID}static struct {{ float {reals}; int32_t {wholes};\n"
        f"bool {flags}; struct pid pids[{PIDS}]; struct ton t[{TIMERS}]; float a[{ELEMENTS}]; int16_t i, j; }} v;\n"
        f"void hand_init(void);\nvoid hand_scan(int64_t now);\nvoid hand_init(void) {{\n{start}}}\n"
        f"void hand_scan(int64_t now) {{\n{pids}{timers}{body}\n}}\n"
    )


def large_source(chance: random.Random) -> Source:
    """Programs of 1,250 lines, 10,000 in all."""
    texts = [structured_text(make_lines(chance)) for _ in range(8)]
    programs = [
        f"PROGRAM main{number}{text.partition('PROGRAM main')[2]}" for number, text in enumerate(texts)
    ]
    return Source("large.st", ST_PID + "".join(programs))


def print_compile_times(folder: Path) -> None:
    """How long 10,000 lines take to become C, and to come from the cache."""
    source = large_source(random.Random(SEED))
    start = time.process_time()
    translate((source,), Options())
    to_c_s = time.process_time() - start
    quick = Options(flags=("-O0",))  # the C compiler's own time is not ours to measure
    build([source], quick, folder)
    start = time.perf_counter()
    build([source], quick, folder)
    warm_s = time.perf_counter() - start
    lines = source.text.count("\n")
    print(
        f"{lines} lines become C in {to_c_s:.2f} s of processor time (goal 3), from the cache in {warm_s:.3f} s (0.2)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200, help="rounds of 2,000 scans of each (default 200)")
    parser.add_argument(
        "--runs", type=int, default=1, help="runs; the ratios printed last are the medians of all"
    )
    arguments = parser.parse_args()
    lines = make_lines(random.Random(SEED))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [Source("benchmark.st", structured_text(lines))]
        start = time.perf_counter()
        checked = build(sources, Options(checks=True), folder / "cache")
        built_s = time.perf_counter() - start
        start = time.perf_counter()
        build(sources, Options(checks=True), folder / "cache")
        warm_s = time.perf_counter() - start
        unchecked = build(sources, Options(checks=False), folder / "cache")
        (folder / "hand.c").write_text(by_hand(lines))
        (folder / "driver.c").write_text(DRIVER)
        plain = [flag for flag in FLAGS if flag != "-fno-strict-aliasing"]
        hand = folder / "hand.so"
        subprocess.run(
            [*compiler(), *plain, "-fvisibility=default", "-shared", str(folder / "hand.c"), "-o", str(hand)],
            check=True,
        )
        driver = folder / "driver"
        subprocess.run(
            [*compiler(), "-O2", *include_flags(), str(folder / "driver.c"), "-ldl", "-o", str(driver)],
            check=True,
        )
        command = [
            str(driver),
            str(arguments.rounds),
            *map(str, (checked.shared_object, unchecked.shared_object)),
        ]
        outputs = [
            subprocess.run([*command, str(hand)], check=True, capture_output=True, text=True).stdout
            for _ in range(arguments.runs)
        ]
        print_compile_times(folder / "cache")
        bytes_of_c = checked.c.stat().st_size
    of_runs = [[tuple(map(float, line.split())) for line in output.splitlines()] for output in outputs]
    for run in of_runs if arguments.runs > 1 else ():
        found = [sorted(row[column] / row[2] for row in run)[len(run) // 2] for column in range(2)]
        print(f"a run: {found[0]:.3f} x with checks, {found[1]:.3f} x without")
    rows = [row for run in of_runs for row in run]
    medians = [sorted(row[column] for row in rows)[len(rows) // 2] for column in range(3)]
    ratios = [sorted(row[column] / row[2] for row in rows)[len(rows) // 2] for column in range(2)]
    print(f"by hand in C     {medians[2]:8.0f} ns a scan")
    print(f"with checks      {medians[0]:8.0f} ns a scan   {ratios[0]:.2f} x (goal 1.25)")
    print(f"without checks   {medians[1]:8.0f} ns a scan   {ratios[1]:.2f} x (goal 1.10)")
    print(f"built in {built_s:.2f} s ({bytes_of_c} bytes of C), from the cache in {warm_s * 1000:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
