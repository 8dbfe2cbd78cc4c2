/* See value.h. */
#include "value.h"

#include <math.h>
#include <string.h>

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A tag's value as a signed or unsigned 64-bit integer; false where it is none. 2^63 and 2^64 are exact doubles. */
static bool to_signed(uint64_t bits, uint8_t type, int64_t *value)
{
    if (type == TL_DOUBLE) {
        const double rounded = nearbyint(double_of(bits));
        if (!(rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0)) {
            return false;
        }
        *value = (int64_t)rounded;
        return true;
    }
    if (type == TL_UINT64 && bits > (uint64_t)INT64_MAX) {
        return false;
    }
    *value = (int64_t)bits;
    return true;
}

static bool to_unsigned(uint64_t bits, uint8_t type, uint64_t *value)
{
    if (type == TL_DOUBLE) {
        const double rounded = nearbyint(double_of(bits));
        if (!(rounded >= 0.0 && rounded < 18446744073709551616.0)) {
            return false;
        }
        *value = (uint64_t)rounded;
        return true;
    }
    if (type == TL_INT64 && (int64_t)bits < 0) {
        return false;
    }
    *value = bits;
    return true;
}

static double to_double(uint64_t bits, uint8_t type)
{
    switch (type) {
    case TL_DOUBLE:
        return double_of(bits);
    case TL_INT64:
        return (double)(int64_t)bits;
    default:
        return (double)bits;
    }
}

static bool store_signed(unsigned char *at, uint64_t bits, uint8_t type, size_t bytes)
{
    int64_t value;
    const int64_t high = (int64_t)(UINT64_MAX >> (65u - 8u * bytes));
    if (!to_signed(bits, type, &value) || value > high || value < -high - 1) {
        return false;
    }
    memcpy(at, &value, bytes); /* little-endian: the low bytes come first, on every target of ours */
    return true;
}

static bool store_unsigned(unsigned char *at, uint64_t bits, uint8_t type, size_t bytes)
{
    uint64_t value;
    if (!to_unsigned(bits, type, &value) || value > UINT64_MAX >> (64u - 8u * bytes)) {
        return false;
    }
    memcpy(at, &value, bytes);
    return true;
}

bool tl_value_store(unsigned char *at, uint8_t kind, uint64_t bits, uint8_t type)
{
    switch ((enum tl_kind)kind) {
    case TL_KIND_BOOL:
        *at = to_double(bits, type) != 0.0;
        return true;
    case TL_KIND_I8:
        return store_signed(at, bits, type, 1);
    case TL_KIND_I16:
        return store_signed(at, bits, type, 2);
    case TL_KIND_I32:
        return store_signed(at, bits, type, 4);
    case TL_KIND_I64:
        return store_signed(at, bits, type, 8);
    case TL_KIND_U8:
        return store_unsigned(at, bits, type, 1);
    case TL_KIND_U16:
        return store_unsigned(at, bits, type, 2);
    case TL_KIND_U32:
        return store_unsigned(at, bits, type, 4);
    case TL_KIND_U64:
        return store_unsigned(at, bits, type, 8);
    case TL_KIND_F32: {
        const float value = (float)to_double(bits, type);
        if (isinf(value)) {
            return false;
        }
        memcpy(at, &value, sizeof value);
        return true;
    }
    case TL_KIND_F64: {
        const double value = to_double(bits, type);
        memcpy(at, &value, sizeof value);
        return true;
    }
    case TL_KIND_STRING:
        return false;
    }
    return false;
}

/* A variable as one of the three 64-bit forms; `real` only for the two real kinds. */
static void load(const unsigned char *at, uint8_t kind, int64_t *whole, double *real, bool *is_real)
{
    *is_real = false;
    switch ((enum tl_kind)kind) {
    case TL_KIND_I8: {
        int8_t value;
        memcpy(&value, at, sizeof value);
        *whole = value;
        return;
    }
    case TL_KIND_I16: {
        int16_t value;
        memcpy(&value, at, sizeof value);
        *whole = value;
        return;
    }
    case TL_KIND_I32: {
        int32_t value;
        memcpy(&value, at, sizeof value);
        *whole = value;
        return;
    }
    case TL_KIND_BOOL:
    case TL_KIND_U8:
        *whole = *at;
        return;
    case TL_KIND_U16: {
        uint16_t value;
        memcpy(&value, at, sizeof value);
        *whole = value;
        return;
    }
    case TL_KIND_U32: {
        uint32_t value;
        memcpy(&value, at, sizeof value);
        *whole = value;
        return;
    }
    case TL_KIND_I64:
    case TL_KIND_U64:
        memcpy(whole, at, sizeof *whole);
        return;
    case TL_KIND_F32: {
        float value;
        memcpy(&value, at, sizeof value);
        *real = (double)value;
        *is_real = true;
        return;
    }
    case TL_KIND_F64:
        memcpy(real, at, sizeof *real);
        *is_real = true;
        return;
    case TL_KIND_STRING:
        break;
    }
    *whole = 0;
}

/* A real as an integer of 64 bits: rounded to nearest, clamped to the range. */
static uint64_t rounded(double real, uint8_t type)
{
    const double nearest = nearbyint(real);
    if (type == TL_UINT64) {
        if (nearest >= 18446744073709551616.0) {
            return UINT64_MAX;
        }
        return nearest > 0.0 ? (uint64_t)nearest : 0u;
    }
    if (nearest >= 9223372036854775808.0) {
        return (uint64_t)INT64_MAX;
    }
    return nearest >= -9223372036854775808.0 ? (uint64_t)(int64_t)nearest : (uint64_t)INT64_MIN;
}

bool tl_value_load(const unsigned char *at, uint8_t kind, uint8_t type, uint64_t *value)
{
    int64_t whole = 0;
    double real = 0.0;
    bool is_real;
    load(at, kind, &whole, &real, &is_real);
    if (is_real && isnan(real)) {
        return false;
    }
    if (type == TL_DOUBLE) {
        if (!is_real) {
            real = kind == TL_KIND_U64 ? (double)(uint64_t)whole : (double)whole;
        }
        *value = bits_of(real);
    } else if (type == TL_BOOL) {
        *value = is_real ? real != 0.0 : whole != 0;
    } else if (is_real) {
        *value = rounded(real, type);
    } else if (type == TL_UINT64 && kind != TL_KIND_U64 && whole < 0) {
        *value = 0;
    } else if (type == TL_INT64 && kind == TL_KIND_U64 && whole < 0) {
        *value = (uint64_t)INT64_MAX;
    } else {
        *value = (uint64_t)whole;
    }
    return true;
}

uint32_t tl_kind_bytes(uint8_t kind)
{
    static const uint8_t bytes[] = {[TL_KIND_BOOL] = 1, [TL_KIND_I8] = 1,  [TL_KIND_I16] = 2, [TL_KIND_I32] = 4,
                                    [TL_KIND_I64] = 8,  [TL_KIND_U8] = 1,  [TL_KIND_U16] = 2, [TL_KIND_U32] = 4,
                                    [TL_KIND_U64] = 8,  [TL_KIND_F32] = 4, [TL_KIND_F64] = 8};
    return kind < sizeof bytes ? bytes[kind] : 0u;
}
