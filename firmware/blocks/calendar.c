#include "calendar.h"

#define DAYS_PER_ERA 146097 /* 400 years, after which the calendar repeats */
#define DAYS_TO_1970 719468 /* from 0000-03-01, where an era starts */
#define FURTHEST_YEAR                                                                            \
    1000000 /* either way; far outside of what nanoseconds hold, so that nothing below overflows \
             */

static int64_t within(int64_t value, int64_t limit)
{
    return value > limit ? limit : value < -limit ? -limit : value;
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

int64_t tl_date_ns(int64_t year, int64_t month, int64_t day)
{
    /* Years start in March, so that the leap day is the last of a year. */
    month = within(month, FURTHEST_YEAR) - 3;
    year = within(year, FURTHEST_YEAR) + floor_divide(month, 12);
    const int64_t month_of_year = month - floor_divide(month, 12) * 12;
    const int64_t era = floor_divide(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * month_of_year + 2) / 5;
    const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    const int64_t days =
        era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970 + within(day, INT64_C(366) * FURTHEST_YEAR) - 1;
    return (int64_t)((uint64_t)days * (uint64_t)TL_NS_PER_DAY);
}

int64_t tl_time_of_day_ns(int64_t hour, int64_t minute, int64_t second, int64_t nanosecond)
{
    const uint64_t seconds = ((uint64_t)hour * 60u + (uint64_t)minute) * 60u + (uint64_t)second;
    return (int64_t)(seconds * (uint64_t)TL_NS_PER_S + (uint64_t)nanosecond);
}

struct tl_civil tl_civil_from_ns(int64_t ns)
{
    const int64_t days = tl_days(ns) + DAYS_TO_1970;
    const int64_t rest = tl_into_day(ns);
    const int64_t era = floor_divide(days, DAYS_PER_ERA);
    const int64_t day_of_era = days - era * DAYS_PER_ERA;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_of_year = (5 * day_of_year + 2) / 153;
    const int64_t seconds = rest / TL_NS_PER_S;
    return (struct tl_civil){
        .year = (int32_t)(year_of_era + era * 400 + (month_of_year >= 10 ? 1 : 0)),
        .month = (int32_t)(month_of_year < 10 ? month_of_year + 3 : month_of_year - 9),
        .day = (int32_t)(day_of_year - (153 * month_of_year + 2) / 5 + 1),
        .hour = (int32_t)(seconds / 3600),
        .minute = (int32_t)(seconds / 60 % 60),
        .second = (int32_t)(seconds % 60),
        .nanosecond = (int32_t)(rest % TL_NS_PER_S),
    };
}

int16_t tl_day_of_week(int64_t ns)
{
    const int64_t since_sunday = tl_days(ns) + 4; /* 1970-01-01 was a Thursday */
    return (int16_t)(since_sunday - floor_divide(since_sunday, 7) * 7);
}
