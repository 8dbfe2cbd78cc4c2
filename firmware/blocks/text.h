/* Strings of Structured Text (IEC 61131-3 6.6.2.5.11, Table 36): bounded, one byte a character, positions from 1.
 *
 * A result is cut where it does not fit its destination. A negative length, or a position before the first character,
 * is a fault (TL_FAULT_STRING_LENGTH); reaching past the end gives what is there. A destination is never also a
 * source: generated code gives every result a string of its own.
 */
#ifndef TIELINE_TEXT_H
#define TIELINE_TEXT_H

#include "checks.h"

/* Strings of a declared length as what all functions take, and string constants. */
#define TL_STRING(place) ((struct tl_string *)(void *)&(place))
#define TL_TEXT(constant) ((const struct tl_string *)(const void *)&(constant))

void tl_string_set(struct tl_string *to, const char *bytes, size_t length);
void tl_string_copy(struct tl_string *to, const struct tl_string *from);
void tl_string_append(struct tl_string *to, const struct tl_string *from);

/* Below, at or above zero, as `a` is before, the same as or after `b`; a string comes after its beginnings. */
int tl_string_compare(const struct tl_string *a, const struct tl_string *b);

void tl_string_left(struct tl_scan *scan, struct tl_string *to, const struct tl_string *from, int64_t length,
                    uint32_t at);
void tl_string_right(struct tl_scan *scan, struct tl_string *to, const struct tl_string *from, int64_t length,
                     uint32_t at);
void tl_string_mid(struct tl_scan *scan, struct tl_string *to, const struct tl_string *from, int64_t length,
                   int64_t position, uint32_t at);
/* Behind the character at `position`; 0 is before the first. */
void tl_string_insert(struct tl_scan *scan, struct tl_string *to, const struct tl_string *from,
                      const struct tl_string *what, int64_t position, uint32_t at);
void tl_string_delete(struct tl_scan *scan, struct tl_string *to, const struct tl_string *from, int64_t length,
                      int64_t position, uint32_t at);
void tl_string_replace(struct tl_scan *scan, struct tl_string *to, const struct tl_string *from,
                       const struct tl_string *what, int64_t length, int64_t position, uint32_t at);
/* Where `what` is first found; 0 where it is not, and where it is empty. */
int16_t tl_string_find(const struct tl_string *in, const struct tl_string *what);

static inline const struct tl_string *tl_string_min(const struct tl_string *a, const struct tl_string *b)
{
    return tl_string_compare(b, a) < 0 ? b : a;
}

static inline const struct tl_string *tl_string_max(const struct tl_string *a, const struct tl_string *b)
{
    return tl_string_compare(b, a) > 0 ? b : a;
}

/* `s[i]`: a character that is there. */
static inline uint8_t *tl_character(struct tl_scan *scan, struct tl_string *of, int64_t index, uint32_t at)
{
    tl_check(scan, index >= 1 && index <= of->length, TL_FAULT_STRING_LENGTH, at);
    return (uint8_t *)&of->bytes[index - 1];
}

static inline int16_t tl_string_len(const struct tl_string *of)
{
    return (int16_t)of->length;
}

/* Numbers in decimal. Reals have the fewest digits that give the same value when they are read again. */
void tl_string_from_bool(struct tl_string *to, bool value);
void tl_string_from_i64(struct tl_string *to, int64_t value);
void tl_string_from_u64(struct tl_string *to, uint64_t value);
void tl_string_from_f32(struct tl_string *to, float value);
void tl_string_from_f64(struct tl_string *to, double value);
/* As literals: T#1h30m, D#2026-01-31, TOD#06:30:00.5, DT#2026-01-31-06:30:00; `prefix` is "T#" and so on. */
void tl_string_from_time(struct tl_string *to, const char *prefix, int64_t ns);
void tl_string_from_date(struct tl_string *to, const char *prefix, int64_t ns);
void tl_string_from_tod(struct tl_string *to, const char *prefix, int64_t ns);
void tl_string_from_dt(struct tl_string *to, const char *prefix, int64_t ns);

/* Blanks, a sign and digits, as far as they go; no digits are 0. What does not fit becomes the nearest end. */
int64_t tl_i64_from_string(const struct tl_string *from, int64_t low, int64_t high);
uint64_t tl_u64_from_string(const struct tl_string *from, uint64_t high);
double tl_f64_from_string(const struct tl_string *from);
/* TRUE in any case, or a number that is not 0. */
bool tl_bool_from_string(const struct tl_string *from);
/* Pieces like 1h30m, with or without T#; what follows them is left alone. */
int64_t tl_time_from_string(const struct tl_string *from);

#endif
