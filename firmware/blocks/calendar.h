/* Dates and times of day: int64 nanoseconds, since 1970-01-01 or since midnight, in the proleptic Gregorian calendar.
 */
#ifndef TIELINE_CALENDAR_H
#define TIELINE_CALENDAR_H

#include <stdint.h>

#define TL_NS_PER_US INT64_C(1000)
#define TL_NS_PER_MS INT64_C(1000000)
#define TL_NS_PER_S INT64_C(1000000000)
#define TL_NS_PER_DAY INT64_C(86400000000000)

struct tl_civil {
    int32_t year;
    int32_t month;
    int32_t day;
    int32_t hour;
    int32_t minute;
    int32_t second;
    int32_t nanosecond;
};

/* Fields outside of their range carry over: the 31st of April is the 1st of May. Past the years that 64 bits of
 * nanoseconds hold (1677 to 2262) the result wraps. */
int64_t tl_date_ns(int64_t year, int64_t month, int64_t day);
int64_t tl_time_of_day_ns(int64_t hour, int64_t minute, int64_t second, int64_t nanosecond);
struct tl_civil tl_civil_from_ns(int64_t ns);

/* 0 is Sunday, 6 Saturday (IEC 61131-3 Table 41). */
int16_t tl_day_of_week(int64_t ns);

/* The day that a moment lies in, and how far into it; both also right before 1970. */
static inline int64_t tl_days(int64_t ns)
{
    return ns / TL_NS_PER_DAY - (ns % TL_NS_PER_DAY < 0 ? 1 : 0);
}

static inline int64_t tl_into_day(int64_t ns)
{
    const int64_t rest = ns % TL_NS_PER_DAY;
    return rest < 0 ? rest + TL_NS_PER_DAY : rest;
}

#endif
