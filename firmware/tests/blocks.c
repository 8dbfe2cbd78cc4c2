/* The run-time of generated code: arithmetic at its edges, strings, the calendar, and the blocks of IEC
 * 61131-3 6.6.3.5 step by step as the standard's tables draw them. */
#include "blocks.h"
#include "check.h"

static jmp_buf escape;
static struct tl_scan faulty; /* of CHECK_FAULT: static, so that longjmp leaves it alone */

static struct tl_scan scan_of(void)
{
    return (struct tl_scan){.escape = &escape, .loop_budget = 10};
}

#define CHECK_FAULT(expression, expected)          \
    do {                                           \
        faulty = scan_of();                        \
        if (setjmp(escape) == 0) {                 \
            (void)(expression);                    \
        }                                          \
        CHECK_EQUAL(faulty.fault, expected);       \
        if ((expected) != TL_FAULT_NONE) {         \
            CHECK_EQUAL(faulty.fault_file, 3);     \
            CHECK_EQUAL(faulty.fault_line, 70000); \
        }                                          \
    } while (0)
#define HERE TL_AT(3, 70000)

static void arithmetic_wraps(void)
{
    struct tl_scan scan = scan_of();
    CHECK_EQUAL(tl_add_i8(127, 1), -128);
    CHECK_EQUAL(tl_sub_i16(-32768, 1), 32767);
    CHECK_EQUAL(tl_mul_u16(65535, 65535), 1);
    CHECK_EQUAL(tl_mul_i32(65536, 65536), 0);
    CHECK(tl_add_i64(INT64_MAX, 1) == INT64_MIN);
    CHECK(tl_neg_i64(INT64_MIN) == INT64_MIN);
    CHECK_EQUAL(tl_abs_i8(-128), -128);
    CHECK_EQUAL(tl_div_i32(&scan, INT32_MIN, -1, HERE), INT32_MIN);
    CHECK_EQUAL(tl_div_i16(&scan, -7, 2, HERE), -3);
    CHECK_EQUAL(tl_mod_i16(-7, 2), -1);
    CHECK_EQUAL(tl_mod_i32(INT32_MIN, -1), 0);
    CHECK_EQUAL(tl_mod_u8(7, 0), 0);
    CHECK_EQUAL(tl_pow_i32(-3, 3), -27);
    CHECK_EQUAL(tl_pow_i32(2, -1), 0);
    CHECK_EQUAL(tl_pow_i32(-1, -3), -1);
    CHECK_EQUAL(tl_pow_u8(2, 8), 0);
}

static void shifts_have_no_undefined_case(void)
{
    CHECK_EQUAL(tl_shl_u8(0x81, 1), 0x02);
    CHECK_EQUAL(tl_shl_u8(0x81, 8), 0);
    CHECK_EQUAL(tl_shl_u8(0x81, -1), 0x81);
    CHECK(tl_shr_u64(UINT64_MAX, 63) == 1);
    CHECK(tl_shr_u64(UINT64_MAX, 64) == 0);
    CHECK_EQUAL(tl_rol_u8(0x81, 1), 0x03);
    CHECK_EQUAL(tl_ror_u8(0x81, 1), 0xc0);
    CHECK_EQUAL(tl_rol_u16(0x8001, 17), 0x0003);
    CHECK_EQUAL(tl_rol_u16(0x8001, -1), 0xc000);
    CHECK(tl_ror_u64(1, 64) == 1);
    CHECK_EQUAL(tl_swap_u32(0x11223344u), 0x44332211u);
    CHECK_EQUAL(tl_from_bcd(0x1234u), 1234);
    CHECK_EQUAL(tl_to_bcd(1234), 0x1234);
    CHECK(tl_is_bcd_u16(0x1299) && !tl_is_bcd_u16(0x12a9));
}

static void reals_round_to_even_and_saturate(void)
{
    struct tl_scan scan = scan_of();
    CHECK_EQUAL(tl_i16_from_f32(&scan, 2.5f, HERE), 2);
    CHECK_EQUAL(tl_i16_from_f32(&scan, 3.5f, HERE), 4);
    CHECK_EQUAL(tl_i16_from_f32(&scan, -2.5f, HERE), -2);
    CHECK_EQUAL(tl_i16_trunc_f32(&scan, -2.9f, HERE), -2);
    CHECK_EQUAL(tl_i16_from_f64(&scan, 1e9, HERE), 32767);
    CHECK_EQUAL(tl_i16_from_f64(&scan, -1e9, HERE), -32768);
    CHECK_EQUAL(tl_i16_from_f64(&scan, 32767.4, HERE), 32767);
    CHECK_EQUAL(tl_i16_from_f64(&scan, 32767.5, HERE), 32767);
    CHECK_EQUAL(tl_u8_from_f64(&scan, -0.5, HERE), 0);
    CHECK_EQUAL(tl_u8_from_f64(&scan, -7.0, HERE), 0);
    CHECK(tl_i64_from_f64(&scan, 9.3e18, HERE) == INT64_MAX);
    CHECK(tl_u64_from_f64(&scan, 1.9e19, HERE) == UINT64_MAX);
    CHECK_FAULT(tl_i32_from_f64(&faulty, (double)NAN, HERE), TL_FAULT_NOT_A_NUMBER);
    CHECK_EQUAL(tl_bits_f32(1.0f), 0x3f800000u);
    CHECK(tl_f64_bits(0x3ff0000000000000u) == 1.0);
}

static void checks_raise_where_they_stand(void)
{
    int32_t cell = 0;
    CHECK_FAULT(tl_div_i32(&faulty, 1, 0, HERE), TL_FAULT_DIVISION_BY_ZERO);
    CHECK_FAULT(tl_div_f32(&faulty, 1.0f, 0.0f, HERE), TL_FAULT_DIVISION_BY_ZERO);
    CHECK_FAULT(tl_index(&faulty, 11, 1, 10, HERE), TL_FAULT_ARRAY_BOUNDS);
    CHECK_FAULT(tl_index(&faulty, INT32_MIN, 1, 10, HERE), TL_FAULT_ARRAY_BOUNDS);
    CHECK_FAULT(tl_index(&faulty, 10, 1, 10, HERE), TL_FAULT_NONE);
    CHECK_FAULT(tl_index_i64(&faulty, INT64_MAX, -5, 10, HERE), TL_FAULT_ARRAY_BOUNDS);
    CHECK_FAULT(tl_index_u64(&faulty, UINT64_MAX, -5, 10, HERE), TL_FAULT_ARRAY_BOUNDS);
    CHECK_FAULT(tl_subrange(&faulty, 101, 0, 100, HERE), TL_FAULT_SUBRANGE);
    CHECK_FAULT(tl_turn(&faulty, 10, HERE), TL_FAULT_NONE);
    CHECK_FAULT(tl_turn(&faulty, 11, HERE), TL_FAULT_LOOP);
    CHECK_FAULT(tl_refer(&faulty, &cell, 64, 0, 4, 4, HERE), TL_FAULT_NULL_REFERENCE);
    CHECK_FAULT(tl_refer(&faulty, &cell, 64, 61, 4, 4, HERE), TL_FAULT_NULL_REFERENCE);
    CHECK_FAULT(tl_refer(&faulty, &cell, 64, 10, 4, 4, HERE), TL_FAULT_NULL_REFERENCE);
    CHECK_FAULT(tl_refer(&faulty, &cell, 64, 60, 4, 4, HERE), TL_FAULT_NONE);
}

struct text {
    uint16_t capacity, length;
    char bytes[21];
};

static struct text text_of(const char *bytes)
{
    struct text made = {.capacity = 20};
    tl_string_set(TL_STRING(made), bytes, strlen(bytes));
    return made;
}

/* A constant, good until the next one but two. */
static const struct tl_string *text(const char *bytes)
{
    static struct text made[3];
    static size_t next;
    next = (next + 1) % 3;
    made[next] = text_of(bytes);
    return TL_TEXT(made[next]);
}

#define CHECK_TEXT(text, expected) CHECK(strcmp((text).bytes, expected) == 0 && (text).length == strlen(expected))

static void strings_are_bounded(void)
{
    struct tl_scan here = scan_of();
    struct tl_scan *const scan = &here;
    struct text made = text_of(""), source = text_of("ASTRING"), what = text_of("XY");
    struct tl_string *const to = TL_STRING(made);
    const struct tl_string *const from = TL_TEXT(source), *const with = TL_TEXT(what);
    tl_string_left(scan, to, from, 3, HERE);
    CHECK_TEXT(made, "AST"); /* the examples of Table 36 */
    tl_string_right(scan, to, from, 3, HERE);
    CHECK_TEXT(made, "ING");
    tl_string_mid(scan, to, from, 3, 2, HERE);
    CHECK_TEXT(made, "STR");
    tl_string_insert(scan, to, from, with, 2, HERE);
    CHECK_TEXT(made, "ASXYTRING");
    tl_string_insert(scan, to, from, with, 0, HERE);
    CHECK_TEXT(made, "XYASTRING");
    tl_string_delete(scan, to, from, 2, 3, HERE);
    CHECK_TEXT(made, "ASING");
    tl_string_replace(scan, to, from, with, 3, 2, HERE);
    CHECK_TEXT(made, "AXYING");
    CHECK_EQUAL(tl_string_find(from, text("RI")), 4);
    CHECK_EQUAL(tl_string_find(from, with), 0);
    tl_string_left(scan, to, from, 99, HERE);
    CHECK_TEXT(made, "ASTRING");
    tl_string_mid(scan, to, from, 99, 99, HERE);
    CHECK_TEXT(made, "");
    tl_string_copy(to, from);
    tl_string_append(to, from);
    tl_string_append(to, from);
    CHECK_TEXT(made, "ASTRINGASTRINGASTRIN");
    CHECK(tl_string_compare(from, with) < 0 && tl_string_compare(from, from) == 0);
    CHECK(tl_string_compare(from, text("AST")) > 0);
    CHECK_FAULT(tl_string_left(&faulty, to, from, -1, HERE), TL_FAULT_STRING_LENGTH);
    CHECK_FAULT(tl_string_mid(&faulty, to, from, 1, 0, HERE), TL_FAULT_STRING_LENGTH);
    CHECK_FAULT(*tl_string_character(&faulty, to, 21, HERE), TL_FAULT_STRING_LENGTH);
}

static const char *written_f32(struct text *into, float value)
{
    tl_string_from_f32(TL_STRING(*into), value);
    return into->bytes;
}

static const char *written_f64(struct text *into, double value)
{
    tl_string_from_f64(TL_STRING(*into), value);
    return into->bytes;
}

static void numbers_are_written_and_read(void)
{
    struct text made = text_of("");
    struct tl_string *const to = TL_STRING(made);
    tl_string_from_i64(to, INT64_MIN);
    CHECK_TEXT(made, "-9223372036854775808");
    tl_string_from_u64(to, UINT64_MAX);
    CHECK_TEXT(made, "18446744073709551615");
    CHECK(strcmp(written_f32(&made, 0.1f), "0.1") == 0);
    CHECK(strcmp(written_f32(&made, 100.0f), "100.0") == 0);
    CHECK(strcmp(written_f32(&made, -0.05f), "-0.05") == 0);
    CHECK(strcmp(written_f32(&made, 0.0f), "0.0") == 0);
    CHECK(strcmp(written_f64(&made, 12345.678), "12345.678") == 0);
    CHECK(strcmp(written_f64(&made, 0.5), "0.5") == 0);
    CHECK(strcmp(written_f64(&made, 1e20), "1.0E20") == 0);
    CHECK(strcmp(written_f64(&made, 1.5e-9), "1.5E-9") == 0);
    CHECK(strcmp(written_f64(&made, (double)-INFINITY), "-Infinity") == 0);
    CHECK_EQUAL(tl_i64_from_string(text("  -42abc"), -128, 127), -42);
    CHECK_EQUAL(tl_i64_from_string(text("300"), -128, 127), 127);
    CHECK_EQUAL(tl_i64_from_string(text("-99999999999999999999"), -128, 127), -128);
    CHECK_EQUAL(tl_i64_from_string(text("none"), -128, 127), 0);
    CHECK(tl_i64_from_string(text("-9223372036854775808"), INT64_MIN, INT64_MAX) == INT64_MIN);
    CHECK_EQUAL(tl_u64_from_string(text("-1"), 255), 0);
    CHECK(tl_f64_from_string(text("-1.25E2")) == -125.0);
    CHECK(tl_f64_from_string(text("0x10")) == 0.0 && tl_f64_from_string(text("inf")) == 0.0);
    CHECK(tl_bool_from_string(text("True")) || tl_bool_from_string(text("TRUE")));
    CHECK(!tl_bool_from_string(text("no")));
    tl_string_from_time(to, "T#", 90061001 * TL_NS_PER_MS);
    CHECK_TEXT(made, "T#1d1h1m1s1ms");
    tl_string_from_time(to, "T#", 0);
    CHECK_TEXT(made, "T#0s");
    CHECK_EQUAL(tl_time_from_string(text("T#-1h30m5ms")), -(5400 * TL_NS_PER_S + 5 * TL_NS_PER_MS));
}

static void the_calendar_counts_right(void)
{
    CHECK_EQUAL(tl_date_ns(1970, 1, 1), 0);
    CHECK(tl_date_ns(2000, 2, 29) == 951782400 * TL_NS_PER_S); /* date -u -d 2000-02-29 +%s */
    CHECK(tl_date_ns(2024, 13, 1) == tl_date_ns(2025, 1, 1));
    CHECK(tl_date_ns(1969, 12, 31) == -TL_NS_PER_DAY);
    const struct tl_civil civil = tl_civil_from_ns(tl_date_ns(2100, 3, 1) - 1);
    CHECK_EQUAL(civil.year, 2100); /* no leap year */
    CHECK_EQUAL(civil.month, 2);
    CHECK_EQUAL(civil.day, 28);
    CHECK_EQUAL(civil.nanosecond, 999999999);
    CHECK_EQUAL(tl_day_of_week(0), 4);
    CHECK_EQUAL(tl_day_of_week(-TL_NS_PER_DAY * 4), 0); /* 1969-12-28 was a Sunday */
    for (int64_t day = -60000; day < 60000; day++) {
        const struct tl_civil one = tl_civil_from_ns(day * TL_NS_PER_DAY);
        CHECK(tl_date_ns(one.year, one.month, one.day) == day * TL_NS_PER_DAY);
    }
}

static void timers_follow_their_diagrams(void)
{
    struct tl_timer ton = {.pt = 10}, tof = {.pt = 10}, tp = {.pt = 10};
    ton.in = true;
    tl_ton(&ton, 100);
    CHECK(!ton.q && ton.et == 0);
    tl_ton(&ton, 109);
    CHECK(!ton.q && ton.et == 9);
    tl_ton(&ton, 110);
    CHECK(ton.q && ton.et == 10);
    tl_ton(&ton, 500);
    CHECK(ton.q && ton.et == 10);
    ton.in = false;
    tl_ton(&ton, 501);
    CHECK(!ton.q && ton.et == 0);
    ton.pt = 0;
    ton.in = true;
    tl_ton(&ton, 502);
    CHECK(ton.q && ton.et == 0);

    tl_tof(&tof, 0);
    CHECK(!tof.q && tof.et == 0); /* never on */
    tof.in = true;
    tl_tof(&tof, 5);
    CHECK(tof.q && tof.et == 0);
    tof.in = false;
    tl_tof(&tof, 6);
    CHECK(tof.q && tof.et == 0);
    tl_tof(&tof, 15);
    CHECK(tof.q && tof.et == 9);
    tl_tof(&tof, 16);
    CHECK(!tof.q && tof.et == 10);
    tl_tof(&tof, 99);
    CHECK(!tof.q && tof.et == 10);

    tp.in = true;
    tl_tp(&tp, 0);
    CHECK(tp.q && tp.et == 0);
    tp.in = false;
    tl_tp(&tp, 4);
    CHECK(tp.q && tp.et == 4);
    tp.in = true; /* no new edge within a pulse */
    tl_tp(&tp, 9);
    CHECK(tp.q && tp.et == 9);
    tl_tp(&tp, 10);
    CHECK(!tp.q && tp.et == 10);
    tl_tp(&tp, 50);
    CHECK(!tp.q && tp.et == 10);
    tp.in = false;
    tl_tp(&tp, 51);
    CHECK(!tp.q && tp.et == 0);
    tp.in = true;
    tl_tp(&tp, 52);
    CHECK(tp.q && tp.et == 0);
}

static void counters_stop_at_their_ends(void)
{
    struct tl_ctu_i16 up = {.cu = true, .pv = 1};
    tl_ctu_i16(&up);
    CHECK(up.q && up.cv == 1);
    tl_ctu_i16(&up); /* no edge */
    CHECK_EQUAL(up.cv, 1);
    up.cu = false;
    tl_ctu_i16(&up);
    up.cv = INT16_MAX;
    up.cu = true;
    tl_ctu_i16(&up);
    CHECK_EQUAL(up.cv, INT16_MAX);
    up.r = true;
    tl_ctu_i16(&up);
    CHECK(up.cv == 0 && !up.q);

    struct tl_ctd_i16 down = {.cd = true};
    tl_ctd_i16(&down);
    CHECK(down.q && down.cv == -1);
    down.cd = false;
    tl_ctd_i16(&down);
    down.cv = INT16_MIN;
    down.cd = true;
    tl_ctd_i16(&down);
    CHECK_EQUAL(down.cv, INT16_MIN);
    struct tl_ctd_u32 unsigned_down = {.cd = true};
    tl_ctd_u32(&unsigned_down);
    CHECK(unsigned_down.q && unsigned_down.cv == 0);

    struct tl_ctud_i32 both = {.cu = true, .cd = true, .pv = 2};
    tl_ctud_i32(&both); /* two edges at once are none (Table 45) */
    CHECK(both.cv == 0 && both.qd && !both.qu);
    both.ld = true;
    tl_ctud_i32(&both);
    CHECK(both.cv == 2 && both.qu && !both.qd);
}

static void bistables_and_edges(void)
{
    struct tl_sr sr = {.s1 = true, .r = true};
    tl_sr(&sr);
    CHECK(sr.q1);
    struct tl_rs rs = {.s = true, .r1 = true, .q1 = true};
    tl_rs(&rs);
    CHECK(!rs.q1);
    struct tl_trigger rising = {.clk = true}, falling = {0};
    tl_r_trig(&rising);
    CHECK(rising.q);
    tl_r_trig(&rising);
    CHECK(!rising.q);
    tl_f_trig(&falling); /* CLK FALSE on the first call is an edge, as Table 44 writes it */
    CHECK(falling.q);
    falling.clk = true;
    tl_f_trig(&falling);
    CHECK(!falling.q);
    falling.clk = false;
    tl_f_trig(&falling);
    CHECK(falling.q);
}

#define UNITS 8
struct wide {
    uint16_t capacity, length;
    uint16_t units[UNITS + 1];
};

static void wide_strings_are_cut_and_end_with_zero(void)
{
    struct wide to = {.capacity = UNITS};
    const struct wide from = {.capacity = UNITS, .length = 5, .units = {'a', 0x3a9, 0xd83d, 0xde00, 'z'}};
    struct {
        uint16_t capacity, length;
        char bytes[UNITS + 1];
    } narrow = {.capacity = UNITS};
    tl_wstring_copy(TL_WSTRING(to), TL_WTEXT(from));
    tl_wstring_append(TL_WSTRING(to), TL_WTEXT(from));
    CHECK_EQUAL(to.length, UNITS);
    CHECK_EQUAL(to.units[UNITS], 0);
    CHECK_EQUAL(to.units[6], 0x3a9);
    CHECK_EQUAL(tl_wstring_find(TL_WTEXT(to), TL_WTEXT(from)), 1);
    CHECK(tl_wstring_compare(TL_WTEXT(from), TL_WTEXT(to)) < 0);
    tl_string_from_wstring(TL_STRING(narrow), TL_WTEXT(from));
    CHECK(strcmp(narrow.bytes, "a???z") == 0);
    tl_wstring_from_string(TL_WSTRING(to), TL_TEXT(narrow));
    CHECK_EQUAL(to.length, 5);
    CHECK_EQUAL(to.units[1], '?');
}

/* SD: on its way while the step holds for one call of 100 ms only, due after 250 ms, gone with a reset. */
static void a_stored_action_keeps_its_duration(void)
{
    struct tl_action_control action = {.sd = true, .t = 250 * TL_NS_PER_MS};
    const int64_t step = 100 * TL_NS_PER_MS;
    tl_action_control(&action, 0);
    CHECK(!action.q && !action.a);
    action.sd = false;
    action.t = 0;
    tl_action_control(&action, step);
    tl_action_control(&action, step);
    CHECK(!action.q);
    tl_action_control(&action, step);
    CHECK(action.q && action.a);
    action.r = true;
    tl_action_control(&action, step);
    CHECK(!action.q && action.a); /* the last run */
    tl_action_control(&action, step);
    CHECK(!action.q && !action.a);
}

int main(void)
{
    wide_strings_are_cut_and_end_with_zero();
    a_stored_action_keeps_its_duration();
    arithmetic_wraps();
    shifts_have_no_undefined_case();
    reals_round_to_even_and_saturate();
    checks_raise_where_they_stand();
    strings_are_bounded();
    numbers_are_written_and_read();
    the_calendar_counts_right();
    timers_follow_their_diagrams();
    counters_stop_at_their_ends();
    bistables_and_edges();
    return 0;
}
