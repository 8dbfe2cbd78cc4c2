/* Strings of Structured Text (IEC 61131-3 6.6.2.5.11, Table 36): bounded, positions from 1. A STRING has one byte a
 * character, Latin-1; a WSTRING has UTF-16 code units, of which a character beyond U+FFFF takes two.
 *
 * A result is cut where it does not fit its destination. A negative length, or a position before the first character,
 * is a fault (TL_FAULT_STRING_LENGTH); reaching past the end gives what is there. A destination is never also a
 * source: generated code gives every result a string of its own.
 *   tl_string_left  tl_wstring_left   and so on: the same for both
 */
#ifndef TIELINE_TEXT_H
#define TIELINE_TEXT_H

#include "checks.h"

/* A WSTRING[capacity]: `length` units count; a 0 follows them. */
struct tl_wstring {
    uint16_t capacity;
    uint16_t length;
    uint16_t units[]; /* capacity + 1 */
};

/* Strings of a declared length as what all functions take, and string constants. */
#define TL_STRING(place) ((struct tl_string *)(void *)&(place))
#define TL_TEXT(constant) ((const struct tl_string *)(const void *)&(constant))
#define TL_WSTRING(place) ((struct tl_wstring *)(void *)&(place))
#define TL_WTEXT(constant) ((const struct tl_wstring *)(const void *)&(constant))

/* compare: below, at or above zero, as `a` is before, the same as or after `b`; a string comes after its beginnings.
 * insert: behind the character at `position`; 0 is before the first.
 * find: where `what` is first found; 0 where it is not, and where it is empty.
 * character: `s[i]`, which has to be there. */
#define TL_STRINGS(S, UNIT, UNITS, PLACE)                                                                        \
    void tl_##S##_set(struct tl_##S *to, const UNIT *units, size_t length);                                      \
    void tl_##S##_copy(struct tl_##S *to, const struct tl_##S *from);                                            \
    void tl_##S##_append(struct tl_##S *to, const struct tl_##S *from);                                          \
    int tl_##S##_compare(const struct tl_##S *a, const struct tl_##S *b);                                        \
    void tl_##S##_left(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,       \
                       uint32_t at);                                                                             \
    void tl_##S##_right(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,      \
                        uint32_t at);                                                                            \
    void tl_##S##_mid(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,        \
                      int64_t position, uint32_t at);                                                            \
    void tl_##S##_insert(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from,                     \
                         const struct tl_##S *what, int64_t position, uint32_t at);                              \
    void tl_##S##_delete(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from, int64_t length,     \
                         int64_t position, uint32_t at);                                                         \
    void tl_##S##_replace(struct tl_scan *scan, struct tl_##S *to, const struct tl_##S *from,                    \
                          const struct tl_##S *what, int64_t length, int64_t position, uint32_t at);             \
    int16_t tl_##S##_find(const struct tl_##S *in, const struct tl_##S *what);                                   \
    static inline const struct tl_##S *tl_##S##_min(const struct tl_##S *a, const struct tl_##S *b)              \
    {                                                                                                            \
        return tl_##S##_compare(b, a) < 0 ? b : a;                                                               \
    }                                                                                                            \
    static inline const struct tl_##S *tl_##S##_max(const struct tl_##S *a, const struct tl_##S *b)              \
    {                                                                                                            \
        return tl_##S##_compare(b, a) > 0 ? b : a;                                                               \
    }                                                                                                            \
    static inline PLACE *tl_##S##_character(struct tl_scan *scan, struct tl_##S *of, int64_t index, uint32_t at) \
    {                                                                                                            \
        tl_check(scan, index >= 1 && index <= of->length, TL_FAULT_STRING_LENGTH, at);                           \
        return (PLACE *)&of->UNITS[index - 1];                                                                   \
    }                                                                                                            \
    static inline int16_t tl_##S##_len(const struct tl_##S *of)                                                  \
    {                                                                                                            \
        return (int16_t)of->length;                                                                              \
    }
TL_STRINGS(string, char, bytes, uint8_t)
TL_STRINGS(wstring, uint16_t, units, uint16_t)

/* Between the two: what Latin-1 does not have becomes a question mark. */
void tl_wstring_from_string(struct tl_wstring *to, const struct tl_string *from);
void tl_string_from_wstring(struct tl_string *to, const struct tl_wstring *from);

static inline uint8_t tl_char_from_wchar(uint16_t unit)
{
    return (uint8_t)(unit <= UINT8_MAX ? unit : '?');
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
/* As literals, with or without T#, D#, TOD#, DT#, in any case, as far as they go; what can not be read is 0. */
int64_t tl_time_from_string(const struct tl_string *from);
int64_t tl_date_from_string(const struct tl_string *from);
int64_t tl_tod_from_string(const struct tl_string *from);
int64_t tl_dt_from_string(const struct tl_string *from);

#endif
