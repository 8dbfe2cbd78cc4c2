#include "text.h"

#include "arith.h"
#include "calendar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A length or position that may be too small; too large is as far as there is. */
static size_t reach(struct tl_scan *scan, int64_t asked, int64_t from, size_t most, uint32_t at)
{
    tl_check(scan, asked >= from, TL_FAULT_STRING_LENGTH, at);
    return asked < from ? (size_t)from : (uint64_t)asked < most ? (size_t)asked : most;
}

static int order_string(const char *a, const char *b, size_t length)
{
    return memcmp(a, b, length);
}

static int order_wstring(const uint16_t *a, const uint16_t *b, size_t length)
{
    size_t i = 0;
    while (i < length && a[i] == b[i]) {
        i++;
    }
    return i == length ? 0 : (int)a[i] - (int)b[i];
}

#define STRINGS(S, UNIT, UNITS)                                                                              \
    static void put_##S(struct tl_##S *to, const UNIT *units, size_t length)                                 \
    {                                                                                                        \
        const size_t taken = least(length, (size_t)to->capacity - to->length);                               \
        memmove(to->UNITS + to->length, units, taken * sizeof *units);                                       \
        to->length = (uint16_t)(to->length + taken);                                                         \
        to->UNITS[to->length] = 0;                                                                           \
    }                                                                                                        \
    void tl_##S##_set(struct tl_##S *to, const UNIT *units, size_t length)                                   \
    {                                                                                                        \
        const size_t taken = least(length, to->capacity);                                                    \
        memmove(to->UNITS, units, taken * sizeof *units);                                                    \
        to->length = (uint16_t)taken;                                                                        \
        to->UNITS[taken] = 0;                                                                                \
    }                                                                                                        \
    void tl_##S##_copy(struct tl_##S *to, const struct tl_##S *from)                                         \
    {                                                                                                        \
        tl_##S##_set(to, from->UNITS, from->length);                                                         \
    }                                                                                                        \
    void tl_##S##_append(struct tl_##S *to, const struct tl_##S *from)                                       \
    {                                                                                                        \
        put_##S(to, from->UNITS, from->length);                                                              \
    }                                                                                                        \
    int tl_##S##_compare(const struct tl_##S *a, const struct tl_##S *b)                                     \
    {                                                                                                        \
        const int order = order_##S(a->UNITS, b->UNITS, least(a->length, b->length));                        \
        return order != 0 ? order : (int)a->length - (int)b->length;                                         \
    }                                                                                                        \
    void tl_##S##_left(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,   \
                       uint32_t at)                                                                          \
    {                                                                                                        \
        tl_##S##_set(to, from->UNITS, reach(scan, length, 0, from->length, at));                             \
    }                                                                                                        \
    void tl_##S##_right(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,  \
                        uint32_t at)                                                                         \
    {                                                                                                        \
        const size_t taken = reach(scan, length, 0, from->length, at);                                       \
        tl_##S##_set(to, from->UNITS + (from->length - taken), taken);                                       \
    }                                                                                                        \
    void tl_##S##_mid(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,    \
                      int64_t position, uint32_t at)                                                         \
    {                                                                                                        \
        const size_t before = reach(scan, position, 1, (size_t)from->length + 1, at) - 1;                    \
        tl_##S##_set(to, from->UNITS + before, reach(scan, length, 0, from->length - before, at));           \
    }                                                                                                        \
    void tl_##S##_insert(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from,                 \
                         const struct tl_##S *what, int64_t position, uint32_t at)                           \
    {                                                                                                        \
        const size_t before = reach(scan, position, 0, from->length, at);                                    \
        tl_##S##_set(to, from->UNITS, before);                                                               \
        put_##S(to, what->UNITS, what->length);                                                              \
        put_##S(to, from->UNITS + before, from->length - before);                                            \
    }                                                                                                        \
    void tl_##S##_delete(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length, \
                         int64_t position, uint32_t at)                                                      \
    {                                                                                                        \
        const size_t before = reach(scan, position, 1, (size_t)from->length + 1, at) - 1;                    \
        const size_t cut = reach(scan, length, 0, from->length - before, at);                                \
        tl_##S##_set(to, from->UNITS, before);                                                               \
        put_##S(to, from->UNITS + before + cut, from->length - before - cut);                                \
    }                                                                                                        \
    void tl_##S##_replace(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from,                \
                          const struct tl_##S *what, int64_t length, int64_t position, uint32_t at)          \
    {                                                                                                        \
        const size_t before = reach(scan, position, 1, (size_t)from->length + 1, at) - 1;                    \
        const size_t cut = reach(scan, length, 0, from->length - before, at);                                \
        tl_##S##_set(to, from->UNITS, before);                                                               \
        put_##S(to, what->UNITS, what->length);                                                              \
        put_##S(to, from->UNITS + before + cut, from->length - before - cut);                                \
    }                                                                                                        \
    int16_t tl_##S##_find(const struct tl_##S *in, const struct tl_##S *what)                                \
    {                                                                                                        \
        if (what->length == 0 || what->length > in->length) {                                                \
            return 0;                                                                                        \
        }                                                                                                    \
        for (size_t at = 0; at + what->length <= in->length; at++) {                                         \
            if (order_##S(in->UNITS + at, what->UNITS, what->length) == 0) {                                 \
                return (int16_t)(at + 1);                                                                    \
            }                                                                                                \
        }                                                                                                    \
        return 0;                                                                                            \
    }
STRINGS(string, char, bytes)
STRINGS(wstring, uint16_t, units)

/* ── between the two ─────────────────────────────────────────────────────────────────────────────────────────── */
void tl_wstring_from_string(struct tl_wstring *to, const struct tl_string *from)
{
    const size_t taken = least(from->length, to->capacity);
    for (size_t i = 0; i < taken; i++) {
        to->units[i] = (uint8_t)from->bytes[i];
    }
    to->length = (uint16_t)taken;
    to->units[taken] = 0;
}

void tl_string_from_wstring(struct tl_string *to, const struct tl_wstring *from)
{
    const size_t taken = least(from->length, to->capacity);
    for (size_t i = 0; i < taken; i++) {
        to->bytes[i] = (char)tl_char_from_wchar(from->units[i]);
    }
    to->length = (uint16_t)taken;
    to->bytes[taken] = '\0';
}

/* ── to text ─────────────────────────────────────────────────────────────────────────────────────────────────── */
#define LONGEST_NUMBER 40 /* -1.7976931348623157e+308 has 24; a sign, 20 digits and a NUL 22 */

static void empty(struct tl_string *to)
{
    to->length = 0;
    to->bytes[0] = '\0';
}

static void put_text(struct tl_string *to, const char *text)
{
    put_string(to, text, strlen(text));
}

static void put_u64(struct tl_string *to, uint64_t value, size_t least_digits)
{
    char digits[LONGEST_NUMBER];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0 || sizeof digits - first < least_digits);
    put_string(to, digits + first, sizeof digits - first);
}

void tl_string_from_bool(struct tl_string *to, bool value)
{
    empty(to);
    put_text(to, value ? "TRUE" : "FALSE");
}

void tl_string_from_u64(struct tl_string *to, uint64_t value)
{
    empty(to);
    put_u64(to, value, 1);
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
}

void tl_string_from_i64(struct tl_string *to, int64_t value)
{
    empty(to);
    if (value < 0) {
        put_text(to, "-");
    }
    put_u64(to, magnitude(value), 1);
}

#define LARGEST_PLAIN 15 /* powers of ten up to which a number is written without an exponent */
#define SMALLEST_PLAIN (-5)

/* `written` is what printf made with %.*e: sign, digit, point, digits, e, sign, exponent. */
static void put_scientific(struct tl_string *to, const char *written)
{
    char digits[LONGEST_NUMBER];
    int count = 0;
    if (*written == '-') {
        put_text(to, "-");
        written++;
    }
    for (; *written != 'e'; written++) {
        if (*written != '.') {
            digits[count++] = *written;
        }
    }
    int exponent = (int)strtol(written + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    if (exponent < SMALLEST_PLAIN || exponent >= LARGEST_PLAIN) {
        put_string(to, digits, 1);
        put_text(to, ".");
        put_string(to, count > 1 ? digits + 1 : "0", count > 1 ? (size_t)count - 1 : 1);
        put_text(to, exponent < 0 ? "E-" : "E");
        put_u64(to, magnitude(exponent), 1);
        return;
    }
    for (int place = exponent < 0 ? exponent : 0; place <= exponent || place < count; place++) {
        if (exponent >= 0 && place == exponent + 1) {
            put_text(to, ".");
        }
        put_string(to, place >= 0 && place < count ? &digits[place] : "0", 1);
        if (exponent < 0 && place == exponent) {
            put_text(to, ".");
        }
    }
    if (exponent >= 0 && count <= exponent + 1) {
        put_text(to, ".0");
    }
}

static bool put_special(struct tl_string *to, double value)
{
    empty(to);
    if (isnan(value)) {
        put_text(to, "NaN");
    } else if (isinf(value)) {
        put_text(to, value < 0 ? "-Infinity" : "Infinity");
    }
    return !isfinite(value);
}

void tl_string_from_f32(struct tl_string *to, float value)
{
    char written[LONGEST_NUMBER];
    if (put_special(to, (double)value)) {
        return;
    }
    for (int digits = 0; digits <= 8; digits++) { /* 9 digits tell all singles apart */
        (void)snprintf(written, sizeof written, "%.*e", digits, (double)value);
        if (strtof(written, NULL) == value) {
            break;
        }
    }
    put_scientific(to, written);
}

void tl_string_from_f64(struct tl_string *to, double value)
{
    char written[LONGEST_NUMBER];
    if (put_special(to, value)) {
        return;
    }
    for (int digits = 0; digits <= 16; digits++) { /* 17 digits tell all doubles apart */
        (void)snprintf(written, sizeof written, "%.*e", digits, value);
        if (strtod(written, NULL) == value) {
            break;
        }
    }
    put_scientific(to, written);
}

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"d", TL_NS_PER_DAY},
    {"h", 3600 * TL_NS_PER_S},
    {"ms", TL_NS_PER_MS},
    {"m", 60 * TL_NS_PER_S},
    {"s", TL_NS_PER_S},
    {"us", TL_NS_PER_US},
    {"ns", 1},
};
static const size_t by_size[] = {0, 1, 3, 4, 2, 5, 6}; /* `ms` stands before `m`, so that reading finds it first */
#define UNITS (sizeof units / sizeof units[0])

void tl_string_from_time(struct tl_string *to, const char *prefix, int64_t ns)
{
    uint64_t left = magnitude(ns);
    empty(to);
    put_text(to, prefix);
    if (ns < 0) {
        put_text(to, "-");
    }
    if (left == 0) {
        put_text(to, "0s");
    }
    for (size_t i = 0; i < UNITS && left != 0; i++) {
        const uint64_t unit = (uint64_t)units[by_size[i]].ns;
        if (left >= unit) {
            put_u64(to, left / unit, 1);
            put_text(to, units[by_size[i]].name);
            left %= unit;
        }
    }
}

static void put_date(struct tl_string *to, const struct tl_civil *civil)
{
    put_u64(to, (uint64_t)civil->year, 4);
    put_text(to, "-");
    put_u64(to, (uint64_t)civil->month, 2);
    put_text(to, "-");
    put_u64(to, (uint64_t)civil->day, 2);
}

static void put_clock(struct tl_string *to, const struct tl_civil *civil)
{
    put_u64(to, (uint64_t)civil->hour, 2);
    put_text(to, ":");
    put_u64(to, (uint64_t)civil->minute, 2);
    put_text(to, ":");
    put_u64(to, (uint64_t)civil->second, 2);
    if (civil->nanosecond != 0) {
        size_t digits = 9;
        uint64_t fraction = (uint64_t)civil->nanosecond;
        for (; fraction % 10 == 0; fraction /= 10) {
            digits--;
        }
        put_text(to, ".");
        put_u64(to, fraction, digits);
    }
}

void tl_string_from_date(struct tl_string *to, const char *prefix, int64_t ns)
{
    const struct tl_civil civil = tl_civil_from_ns(ns);
    empty(to);
    put_text(to, prefix);
    put_date(to, &civil);
}

void tl_string_from_tod(struct tl_string *to, const char *prefix, int64_t ns)
{
    const struct tl_civil civil = tl_civil_from_ns(ns);
    empty(to);
    put_text(to, prefix);
    put_clock(to, &civil);
}

void tl_string_from_dt(struct tl_string *to, const char *prefix, int64_t ns)
{
    const struct tl_civil civil = tl_civil_from_ns(ns);
    empty(to);
    put_text(to, prefix);
    put_date(to, &civil);
    put_text(to, "-");
    put_clock(to, &civil);
}

/* ── from text ───────────────────────────────────────────────────────────────────────────────────────────────── */
static const char *after_blanks(const struct tl_string *from)
{
    const char *next = from->bytes;
    while (*next == ' ') {
        next++;
    }
    return next;
}

/* Decimal digits, no further than the largest 64-bit number; the string's NUL ends them. */
static const char *read_digits(const char *next, uint64_t *value)
{
    *value = 0;
    for (; *next >= '0' && *next <= '9'; next++) {
        const uint64_t digit = (uint64_t)(*next - '0');
        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    return next;
}

int64_t tl_i64_from_string(const struct tl_string *from, int64_t low, int64_t high)
{
    const char *next = after_blanks(from);
    const bool is_negative = *next == '-';
    uint64_t value;
    (void)read_digits(next + (*next == '-' || *next == '+'), &value);
    if (is_negative) {
        return value > magnitude(low) ? low : tl_neg_i64((int64_t)value);
    }
    return value > (uint64_t)high ? high : (int64_t)value;
}

uint64_t tl_u64_from_string(const struct tl_string *from, uint64_t high)
{
    const char *next = after_blanks(from);
    uint64_t value;
    if (*next == '-') {
        return 0;
    }
    (void)read_digits(next + (*next == '+'), &value);
    return value > high ? high : value;
}

double tl_f64_from_string(const struct tl_string *from)
{
    const char *next = after_blanks(from);
    const char *first = next + (*next == '-' || *next == '+');
    const bool is_number = (*first >= '0' && *first <= '9') || *first == '.';
    const bool is_hexadecimal = *first == '0' && (first[1] == 'x' || first[1] == 'X'); /* C's, not ours */
    return is_number && !is_hexadecimal ? strtod(next, NULL) : 0.0;
}

bool tl_bool_from_string(const struct tl_string *from)
{
    static const char upper[] = "TRUE";
    static const char lower[] = "true";
    const char *next = after_blanks(from);
    size_t i = 0;
    while (i < 4 && (next[i] == upper[i] || next[i] == lower[i])) {
        i++;
    }
    return i == 4 || tl_i64_from_string(from, INT64_MIN, INT64_MAX) != 0;
}

/* Behind the # of a literal's prefix, where there is one. */
static const char *after_prefix(const struct tl_string *from)
{
    const char *const next = after_blanks(from);
    const char *const mark = strchr(next, '#');
    return mark == NULL ? next : mark + 1;
}

static char lower(char letter)
{
    return (char)(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
}

static bool starts_with(const char *text, const char *name)
{
    while (*name != '\0' && lower(*text) == *name) {
        text++;
        name++;
    }
    return *name == '\0';
}

/* Digits behind a point as a part of `unit_ns`, cut to whole nanoseconds; each counts a tenth of the one before. */
static const char *read_fraction(const char *next, uint64_t unit_ns, uint64_t *ns)
{
    uint64_t left = unit_ns;
    *ns = 0;
    for (; *next >= '0' && *next <= '9'; next++) {
        *ns += (uint64_t)(*next - '0') * left / 10;
        left /= 10;
    }
    return next;
}

int64_t tl_time_from_string(const struct tl_string *from)
{
    const char *next = after_prefix(from);
    const bool is_negative = *next == '-';
    next += is_negative || *next == '+';
    uint64_t total = 0;
    for (;;) {
        uint64_t value;
        const char *const whole = read_digits(next, &value);
        uint64_t ignored;
        const char *const after = *whole == '.' ? read_fraction(whole + 1, 0, &ignored) : whole;
        size_t unit = 0;
        while (unit < UNITS && !starts_with(after, units[unit].name)) {
            unit++;
        }
        if (whole == next || unit == UNITS) {
            break;
        }
        total += value * (uint64_t)units[unit].ns;
        if (*whole == '.') {
            uint64_t fraction;
            (void)read_fraction(whole + 1, (uint64_t)units[unit].ns, &fraction);
            total += fraction;
        }
        next = after + strlen(units[unit].name);
        next += *next == '_';
    }
    return is_negative ? tl_neg_i64((int64_t)total) : (int64_t)total;
}

/* A number with `mark` before it, no greater than `most`; NULL where there is none. */
static const char *read_part(const char *next, char mark, uint64_t most, int64_t *value)
{
    if (next == NULL || (mark != '\0' && *next != mark)) {
        return NULL;
    }
    next += mark != '\0';
    uint64_t found;
    const char *const after = read_digits(next, &found);
    *value = found <= most ? (int64_t)found : 0;
    return after == next || found > most ? NULL : after;
}

#define LAST_YEAR 2262 /* beyond it 64 bits of nanoseconds end */

static const char *read_date(const char *next, int64_t *ns)
{
    int64_t year;
    int64_t month;
    int64_t day;
    next = read_part(read_part(read_part(next, '\0', LAST_YEAR, &year), '-', 12, &month), '-', 31, &day);
    *ns = next == NULL ? 0 : tl_date_ns(year, month, day);
    return next;
}

static const char *read_clock(const char *next, int64_t *ns)
{
    int64_t hour;
    int64_t minute;
    int64_t second = 0;
    uint64_t fraction = 0;
    next = read_part(read_part(next, '\0', 23, &hour), ':', 59, &minute);
    if (next == NULL) {
        *ns = 0;
        return NULL;
    }
    const char *const seconds = read_part(next, ':', 59, &second);
    if (seconds != NULL) {
        next = *seconds == '.' ? read_fraction(seconds + 1, (uint64_t)TL_NS_PER_S, &fraction) : seconds;
    }
    *ns = tl_time_of_day_ns(hour, minute, second, (int64_t)fraction);
    return next;
}

int64_t tl_date_from_string(const struct tl_string *from)
{
    int64_t ns;
    (void)read_date(after_prefix(from), &ns);
    return ns;
}

int64_t tl_tod_from_string(const struct tl_string *from)
{
    int64_t ns;
    (void)read_clock(after_prefix(from), &ns);
    return ns;
}

int64_t tl_dt_from_string(const struct tl_string *from)
{
    int64_t date;
    int64_t clock = 0;
    const char *const next = read_date(after_prefix(from), &date);
    if (next != NULL && *next == '-') {
        (void)read_clock(next + 1, &clock);
    }
    return tl_add_i64(date, clock);
}
