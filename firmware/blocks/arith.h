/* Integer arithmetic of Structured Text: two's complement that wraps, division that is checked, no case undefined.
 *
 * Sums are made in unsigned words of at least 32 bits, where C defines the wrap; the way back to a signed type is
 * implementation-defined in C11 and modulo 2^n with every compiler in use (GCC, Clang, Zig, IAR, Arm).
 *   tl_add_i16  tl_sub_i16  tl_mul_i16  tl_neg_i16  tl_abs_i16  tl_div_i16  tl_mod_i16  tl_pow_i16  and so on
 *   tl_shl_u8   tl_shr_u8   tl_rol_u8   tl_ror_u8   N < 0 shifts by nothing, N >= width leaves no bit; rotation is
 *                                                   modulo the width, either way
 */
#ifndef TIELINE_ARITH_H
#define TIELINE_ARITH_H

#include "checks.h"

#define TL_ANY(S, TYPE, WIDE)                                             \
    static inline TYPE tl_add_##S(TYPE a, TYPE b)                         \
    {                                                                     \
        return (TYPE)((WIDE)a + (WIDE)b);                                 \
    }                                                                     \
    static inline TYPE tl_sub_##S(TYPE a, TYPE b)                         \
    {                                                                     \
        return (TYPE)((WIDE)a - (WIDE)b);                                 \
    }                                                                     \
    static inline TYPE tl_mul_##S(TYPE a, TYPE b)                         \
    {                                                                     \
        return (TYPE)((WIDE)a * (WIDE)b);                                 \
    }                                                                     \
    static inline TYPE tl_neg_##S(TYPE a)                                 \
    {                                                                     \
        return (TYPE)((WIDE)0 - (WIDE)a);                                 \
    }                                                                     \
    /* A negative exponent gives 0, but 1 and -1 have their powers. */    \
    static inline TYPE tl_pow_##S(TYPE base, int64_t exponent)            \
    {                                                                     \
        TYPE result = 1;                                                  \
        if (exponent < 0) {                                               \
            if (base == 1 || base == (TYPE) - 1) {                        \
                exponent = -(exponent % 2);                               \
            } else {                                                      \
                return 0;                                                 \
            }                                                             \
        }                                                                 \
        for (uint64_t left = (uint64_t)exponent; left != 0; left >>= 1) { \
            if (left & 1u) {                                              \
                result = tl_mul_##S(result, base);                        \
            }                                                             \
            base = tl_mul_##S(base, base);                                \
        }                                                                 \
        return result;                                                    \
    }                                                                     \
    static inline TYPE tl_min_##S(TYPE a, TYPE b)                         \
    {                                                                     \
        return b < a ? b : a;                                             \
    }                                                                     \
    static inline TYPE tl_max_##S(TYPE a, TYPE b)                         \
    {                                                                     \
        return b > a ? b : a;                                             \
    }

/* The least value divided by -1 wraps to itself; its remainder is 0. */
#define TL_SIGNED(S, TYPE, WIDE)                                                     \
    TL_ANY(S, TYPE, WIDE)                                                            \
    static inline TYPE tl_abs_##S(TYPE a)                                            \
    {                                                                                \
        return a < 0 ? tl_neg_##S(a) : a;                                            \
    }                                                                                \
    static inline TYPE tl_div_##S(struct tl_scan *scan, TYPE a, TYPE b, uint32_t at) \
    {                                                                                \
        tl_check(scan, b != 0, TL_FAULT_DIVISION_BY_ZERO, at);                       \
        return (TYPE)(b == 0 ? 0 : b == -1 ? tl_neg_##S(a) : a / b);                 \
    }                                                                                \
    /* MOD by zero is 0 (IEC 61131-3 Table 29), so there is nothing to check. */     \
    static inline TYPE tl_mod_##S(TYPE a, TYPE b)                                    \
    {                                                                                \
        return (TYPE)(b == 0 || b == -1 ? 0 : a % b);                                \
    }

#define TL_UNSIGNED(S, TYPE, WIDE)                                                   \
    TL_ANY(S, TYPE, WIDE)                                                            \
    static inline TYPE tl_abs_##S(TYPE a)                                            \
    {                                                                                \
        return a;                                                                    \
    }                                                                                \
    static inline TYPE tl_div_##S(struct tl_scan *scan, TYPE a, TYPE b, uint32_t at) \
    {                                                                                \
        tl_check(scan, b != 0, TL_FAULT_DIVISION_BY_ZERO, at);                       \
        return (TYPE)(b == 0 ? 0 : a / b);                                           \
    }                                                                                \
    static inline TYPE tl_mod_##S(TYPE a, TYPE b)                                    \
    {                                                                                \
        return (TYPE)(b == 0 ? 0 : a % b);                                           \
    }

#define TL_BITS(S, TYPE, WIDTH)                                                                \
    static inline TYPE tl_shl_##S(TYPE a, int64_t n)                                           \
    {                                                                                          \
        return (TYPE)(n <= 0 ? a : n >= (WIDTH) ? 0 : (uint64_t)a << n);                       \
    }                                                                                          \
    static inline TYPE tl_shr_##S(TYPE a, int64_t n)                                           \
    {                                                                                          \
        return (TYPE)(n <= 0 ? a : n >= (WIDTH) ? 0 : (uint64_t)a >> n);                       \
    }                                                                                          \
    static inline TYPE tl_rol_##S(TYPE a, int64_t n)                                           \
    {                                                                                          \
        const unsigned by = (unsigned)((uint64_t)n % (WIDTH)); /* the width divides 2^64 */    \
        return (TYPE)(by == 0 ? a : ((uint64_t)a << by) | ((uint64_t)a >> ((WIDTH) - by)));    \
    }                                                                                          \
    static inline TYPE tl_ror_##S(TYPE a, int64_t n)                                           \
    {                                                                                          \
        return tl_rol_##S(a, (int64_t)((WIDTH) - (uint64_t)n % (WIDTH)));                      \
    }                                                                                          \
    static inline TYPE tl_swap_##S(TYPE a)                                                     \
    {                                                                                          \
        TYPE swapped = 0;                                                                      \
        for (unsigned bit = 0; bit < (WIDTH); bit += 8) {                                      \
            swapped = (TYPE)(swapped | (((uint64_t)a >> bit & 0xffu) << ((WIDTH) - 8 - bit))); \
        }                                                                                      \
        return swapped;                                                                        \
    }                                                                                          \
    static inline bool tl_is_bcd_##S(TYPE a)                                                   \
    {                                                                                          \
        for (; a != 0; a = (TYPE)((uint64_t)a >> 4)) {                                         \
            if ((a & 15u) > 9) {                                                               \
                return false;                                                                  \
            }                                                                                  \
        }                                                                                      \
        return true;                                                                           \
    }

TL_SIGNED(i8, int8_t, uint32_t)
TL_SIGNED(i16, int16_t, uint32_t)
TL_SIGNED(i32, int32_t, uint32_t)
TL_SIGNED(i64, int64_t, uint64_t)
TL_UNSIGNED(u8, uint8_t, uint32_t)
TL_UNSIGNED(u16, uint16_t, uint32_t)
TL_UNSIGNED(u32, uint32_t, uint32_t)
TL_UNSIGNED(u64, uint64_t, uint64_t)
TL_BITS(u8, uint8_t, 8u)
TL_BITS(u16, uint16_t, 16u)
TL_BITS(u32, uint32_t, 32u)
TL_BITS(u64, uint64_t, 64u)

static inline float tl_div_f32(struct tl_scan *scan, float a, float b, uint32_t at)
{
    tl_check(scan, b != 0.0f, TL_FAULT_DIVISION_BY_ZERO, at);
    return a / b;
}

static inline double tl_div_f64(struct tl_scan *scan, double a, double b, uint32_t at)
{
    tl_check(scan, b != 0.0, TL_FAULT_DIVISION_BY_ZERO, at);
    return a / b;
}

static inline float tl_min_f32(float a, float b)
{
    return b < a ? b : a;
}

static inline float tl_max_f32(float a, float b)
{
    return b > a ? b : a;
}

static inline double tl_min_f64(double a, double b)
{
    return b < a ? b : a;
}

static inline double tl_max_f64(double a, double b)
{
    return b > a ? b : a;
}

/* Binary coded decimals: a digit above 9 counts as it stands, digits that do not fit are cut. */
static inline uint64_t tl_from_bcd(uint64_t bcd)
{
    uint64_t value = 0;
    for (int shift = 60; shift >= 0; shift -= 4) {
        value = value * 10 + (bcd >> shift & 15u);
    }
    return value;
}

static inline uint64_t tl_to_bcd(uint64_t value)
{
    uint64_t bcd = 0;
    for (unsigned shift = 0; shift < 64 && value != 0; shift += 4, value /= 10) {
        bcd |= value % 10 << shift;
    }
    return bcd;
}

#endif
