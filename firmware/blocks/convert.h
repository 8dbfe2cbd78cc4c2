/* Real numbers to integers and times (IEC 61131-3 6.6.2.5.2).
 *
 * To the nearest, ties to even; TRUNC cuts. What does not fit becomes the type's nearest end; what is not a number is
 * a fault, or 0 without checks.
 *   tl_i16_from_f32(scan, x, at)   tl_i16_trunc_f32(scan, x, at)   and so on for all integers, from f32 and f64
 */
#ifndef TIELINE_CONVERT_H
#define TIELINE_CONVERT_H

#include "checks.h"

#include <math.h>
#include <string.h>

/* LIMIT is 2^n, the first value above the type, which both kinds of real hold exactly; LEAST is the least value. */
#define TL_FROM_REAL(S, TYPE, LEAST, LIMIT, GREATEST, R, REAL, F)                      \
    static inline TYPE tl_##S##_fit_##R(struct tl_scan *scan, REAL whole, uint32_t at) \
    {                                                                                  \
        if (whole >= LIMIT##F) {                                                       \
            return GREATEST;                                                           \
        }                                                                              \
        if (whole > (REAL)(LEAST)) {                                                   \
            return (TYPE)whole;                                                        \
        }                                                                              \
        if (isnan(whole)) {                                                            \
            tl_check(scan, false, TL_FAULT_NOT_A_NUMBER, at);                          \
            return 0;                                                                  \
        }                                                                              \
        return LEAST;                                                                  \
    }                                                                                  \
    static inline TYPE tl_##S##_from_##R(struct tl_scan *scan, REAL x, uint32_t at)    \
    {                                                                                  \
        return tl_##S##_fit_##R(scan, TL_ROUND_##R(x), at);                            \
    }                                                                                  \
    static inline TYPE tl_##S##_trunc_##R(struct tl_scan *scan, REAL x, uint32_t at)   \
    {                                                                                  \
        return tl_##S##_fit_##R(scan, TL_TRUNC_##R(x), at);                            \
    }

#define TL_ROUND_f32 rintf
#define TL_ROUND_f64 rint
#define TL_TRUNC_f32 truncf
#define TL_TRUNC_f64 trunc
#define TL_FROM_REALS(S, TYPE, LEAST, LIMIT, GREATEST)           \
    TL_FROM_REAL(S, TYPE, LEAST, LIMIT, GREATEST, f32, float, f) \
    TL_FROM_REAL(S, TYPE, LEAST, LIMIT, GREATEST, f64, double, )

TL_FROM_REALS(i8, int8_t, INT8_MIN, 128.0, INT8_MAX)
TL_FROM_REALS(i16, int16_t, INT16_MIN, 32768.0, INT16_MAX)
TL_FROM_REALS(i32, int32_t, INT32_MIN, 2147483648.0, INT32_MAX)
TL_FROM_REALS(i64, int64_t, INT64_MIN, 9223372036854775808.0, INT64_MAX)
TL_FROM_REALS(u8, uint8_t, 0, 256.0, UINT8_MAX)
TL_FROM_REALS(u16, uint16_t, 0, 65536.0, UINT16_MAX)
TL_FROM_REALS(u32, uint32_t, 0, 4294967296.0, UINT32_MAX)
TL_FROM_REALS(u64, uint64_t, 0, 18446744073709551616.0, UINT64_MAX)

/* The bits of a REAL as a DWORD and back, of an LREAL as an LWORD and back. */
static inline uint32_t tl_bits_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float tl_f32_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t tl_bits_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double tl_f64_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
