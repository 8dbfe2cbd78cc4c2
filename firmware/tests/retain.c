/* Retained variables: the power is cut at every byte of every write; what comes back is whole, and old or new. */
#include "check.h"
#include "retain.h"

#define PLACE 256u

struct disk {
    unsigned char bytes[2 * PLACE];
    size_t power_left; /* bytes that may still be written before the power goes */
    bool is_broken;
};

static bool disk_read(void *context, size_t offset, void *to, size_t bytes)
{
    const struct disk *disk = context;
    CHECK(offset + bytes <= sizeof disk->bytes);
    memcpy(to, disk->bytes + offset, bytes);
    return !disk->is_broken;
}

static bool disk_write(void *context, size_t offset, const void *from, size_t bytes)
{
    struct disk *disk = context;
    CHECK(offset + bytes <= sizeof disk->bytes);
    const size_t written = bytes < disk->power_left ? bytes : disk->power_left;
    memcpy(disk->bytes + offset, from, written);
    disk->power_left -= written;
    return written == bytes && !disk->is_broken;
}

static bool disk_sync(void *context)
{
    return !((struct disk *)context)->is_broken;
}

struct state {
    uint64_t energy;
    uint32_t scratch;
    uint16_t stage;
};

static const struct tl_retained retained[] = {
    {.key = 11, .offset = offsetof(struct state, energy), .bytes = 8},
    {.key = 22, .offset = offsetof(struct state, stage), .bytes = 2},
};
static const struct tl_program program = {.retained = retained, .retained_count = 2};

static struct tl_retain_block block_of(const struct tl_program *of, const void *state)
{
    const struct tl_retain_block block = {
        .rows = of->retained, .count = of->retained_count, .base = (void *)(uintptr_t)state};
    return block;
}

static size_t bytes_of(const struct tl_program *of)
{
    const struct tl_retain_block block = block_of(of, NULL);
    return tl_retain_bytes(&block, 1);
}

static enum tl_retain_result load(struct tl_retain *retain, const struct tl_program *of, void *state,
                                  uint32_t *restored)
{
    struct tl_retain_block block = block_of(of, state);
    const enum tl_retain_result result = tl_retain_load(retain, &block, 1);
    *restored = block.restored;
    return result;
}

static enum tl_retain_result save(struct tl_retain *retain, const struct tl_program *of, const void *state)
{
    const struct tl_retain_block block = block_of(of, state);
    return tl_retain_save(retain, &block, 1);
}

static unsigned char buffer[PLACE];

static struct tl_retain on(struct disk *disk)
{
    const struct tl_retain retain = {
        .medium = {.context = disk, .place_bytes = PLACE, .read = disk_read, .write = disk_write, .sync = disk_sync},
        .buffer = buffer,
        .buffer_bytes = sizeof buffer,
    };
    return retain;
}

static void test_nothing_comes_back_from_a_new_medium(void)
{
    static struct disk disk;
    struct tl_retain retain = on(&disk);
    struct state state = {1, 2, 3};
    uint32_t restored;
    CHECK_EQUAL(load(&retain, &program, &state, &restored), TL_RETAIN_NONE);
    CHECK(state.energy == 1 && state.stage == 3 && restored == 0);
}

static void test_a_power_cut_at_any_byte_leaves_the_last_state_or_the_new_one(void)
{
    const size_t whole = bytes_of(&program);
    for (size_t cut = 0; cut <= whole; cut++) {
        static struct disk disk;
        memset(&disk, 0xFF, sizeof disk); /* as flash comes */
        disk.is_broken = false;
        disk.power_left = SIZE_MAX;
        struct tl_retain retain = on(&disk);
        struct state state = {0, 0, 0};
        uint32_t restored;
        CHECK_EQUAL(load(&retain, &program, &state, &restored), TL_RETAIN_NONE);
        /* Several saves before the cut, so that it falls on either copy. */
        for (uint64_t round = 1; round <= 3 + cut % 2; round++) {
            state = (struct state){round, 77, (uint16_t)(round * 3)};
            CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_OK);
        }
        const struct state before = state;
        const struct state after = {1000, 77, 3000};
        disk.power_left = cut;
        CHECK_EQUAL(save(&retain, &program, &after), cut == whole ? TL_RETAIN_OK : TL_RETAIN_MEDIUM);

        disk.power_left = SIZE_MAX;
        struct tl_retain again = on(&disk);
        struct state back = {0, 5, 0};
        CHECK_EQUAL(load(&again, &program, &back, &restored), TL_RETAIN_OK);
        CHECK_EQUAL(restored, 2);
        CHECK_EQUAL(back.scratch, 5); /* not retained */
        const bool is_new = back.energy == after.energy && back.stage == after.stage;
        const bool is_old = back.energy == before.energy && back.stage == before.stage;
        CHECK(cut == whole ? is_new : is_old);
        /* And the next save goes on as if nothing had happened. */
        CHECK_EQUAL(save(&again, &program, &after), TL_RETAIN_OK);
        CHECK_EQUAL(load(&again, &program, &back, &restored), TL_RETAIN_OK);
        CHECK_EQUAL(back.energy, 1000);
    }
}

/* A disk keeps the sectors of one write in any order: each set of them may be what the power cut leaves. */
#define SECTOR 8u

static void test_a_power_cut_that_leaves_any_set_of_sectors_leaves_a_whole_state(void)
{
    const size_t whole = bytes_of(&program);
    const size_t sectors = (whole + SECTOR - 1u) / SECTOR;
    CHECK(sectors < 16);
    for (unsigned rounds = 1; rounds <= 2; rounds++) { /* so that either copy is the one that is torn */
        for (unsigned long kept = 0; kept < 1ul << sectors; kept++) {
            static struct disk disk;
            memset(&disk, 0xFF, sizeof disk);
            disk.is_broken = false;
            disk.power_left = SIZE_MAX;
            struct tl_retain retain = on(&disk);
            struct state state = {0, 0, 0};
            uint32_t restored;
            (void)load(&retain, &program, &state, &restored);
            for (unsigned round = 1; round <= 2 + rounds; round++) {
                state = (struct state){round, 77, (uint16_t)(round * 3)};
                CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_OK);
            }
            const struct state before = state;
            const struct disk old = disk;
            state = (struct state){1000, 77, 3000};
            CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_OK);
            const size_t place = memcmp(disk.bytes, old.bytes, PLACE) != 0 ? 0 : PLACE;
            CHECK(memcmp(disk.bytes + (PLACE - place), old.bytes + (PLACE - place), PLACE) ==
                  0); /* the other is left */
            for (size_t i = 0; i < sectors; i++) {
                if ((kept >> i & 1ul) == 0) {
                    const size_t at = place + i * SECTOR;
                    memcpy(disk.bytes + at, old.bytes + at,
                           whole - i * SECTOR < SECTOR ? whole - i * SECTOR : SECTOR);
                }
            }
            struct tl_retain again = on(&disk);
            struct state back = {0, 5, 0};
            CHECK_EQUAL(load(&again, &program, &back, &restored), TL_RETAIN_OK);
            CHECK_EQUAL(restored, 2);
            const bool is_new = back.energy == state.energy && back.stage == state.stage;
            const bool is_old = back.energy == before.energy && back.stage == before.stage;
            CHECK(kept + 1ul == 1ul << sectors ? is_new : (is_old || is_new));
        }
    }
}

static void test_a_flipped_bit_anywhere_in_the_newer_copy_brings_the_older(void)
{
    static struct disk disk;
    disk.power_left = SIZE_MAX;
    struct tl_retain retain = on(&disk);
    struct state state = {1, 0, 1};
    uint32_t restored;
    CHECK_EQUAL(load(&retain, &program, &state, &restored), TL_RETAIN_NONE);
    CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_OK); /* sequence 1: copy 1 */
    state.energy = 2;
    CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_OK); /* sequence 2: copy 0 */
    for (size_t bit = 0; bit < 8 * bytes_of(&program); bit++) {
        struct disk hurt = disk;
        hurt.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        struct tl_retain again = on(&hurt);
        struct state back = {0, 0, 0};
        CHECK_EQUAL(load(&again, &program, &back, &restored), TL_RETAIN_OK);
        CHECK_EQUAL(back.energy, 1);
    }
}

static void test_a_changed_program_keeps_the_variables_it_still_has(void)
{
    static struct disk disk;
    disk.power_left = SIZE_MAX;
    struct tl_retain retain = on(&disk);
    struct state state = {123, 0, 9};
    uint32_t restored;
    (void)load(&retain, &program, &state, &restored);
    CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_OK);
    const struct tl_retained other[] = {
        {.key = 33, .offset = 0, .bytes = 4},                              /* new */
        {.key = 11, .offset = offsetof(struct state, energy), .bytes = 8}, /* kept */
        {.key = 22, .offset = offsetof(struct state, scratch), .bytes = 4} /* another size: not the same variable */
    };
    const struct tl_program changed = {.retained = other, .retained_count = 3};
    struct state back = {0, 4, 5};
    CHECK_EQUAL(load(&retain, &changed, &back, &restored), TL_RETAIN_OK);
    CHECK_EQUAL(restored, 1);
    CHECK(back.energy == 123 && back.scratch == 4 && back.stage == 5);
}

static void test_a_broken_medium_and_too_little_room_are_said(void)
{
    static struct disk disk;
    disk.power_left = SIZE_MAX;
    struct tl_retain retain = on(&disk);
    struct state state = {1, 2, 3};
    uint32_t restored;
    disk.is_broken = true;
    CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_MEDIUM);
    CHECK_EQUAL(load(&retain, &program, &state, &restored), TL_RETAIN_NONE);
    disk.is_broken = false;
    retain.buffer_bytes = bytes_of(&program) - 1;
    CHECK_EQUAL(save(&retain, &program, &state), TL_RETAIN_ROOM);
}

static void test_the_checksum_is_the_standard_one(void)
{
    CHECK_EQUAL(tl_crc32c(0, "123456789", 9), 0xE3069283u); /* RFC 3720 and every catalogue of CRCs */
}

int main(void)
{
    test_nothing_comes_back_from_a_new_medium();
    test_a_power_cut_at_any_byte_leaves_the_last_state_or_the_new_one();
    test_a_power_cut_that_leaves_any_set_of_sectors_leaves_a_whole_state();
    test_a_flipped_bit_anywhere_in_the_newer_copy_brings_the_older();
    test_a_changed_program_keeps_the_variables_it_still_has();
    test_a_broken_medium_and_too_little_room_are_said();
    test_the_checksum_is_the_standard_one();
    return 0;
}
