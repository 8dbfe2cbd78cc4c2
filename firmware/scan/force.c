/* See force.h. */
#include "force.h"

#include <string.h>

/* The first force whose offset is not below this one. */
static uint32_t place_of(const struct tl_forces *forces, uint32_t offset)
{
    uint32_t low = 0;
    uint32_t high = forces->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2u;
        if (forces->list[middle].offset < offset) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum tl_force_result insert(struct tl_forces *forces, uint32_t offset, uint32_t bytes, const void *value)
{
    const uint32_t place = place_of(forces, offset);
    struct tl_force *at = &forces->list[place];
    const bool is_held = place < forces->count && at->offset == offset && at->bytes == bytes;
    if (!is_held) {
        const bool laps_next = place < forces->count && at->offset - offset < bytes;
        const bool laps_last = place > 0 && offset - at[-1].offset < at[-1].bytes;
        if (laps_next || laps_last) {
            return TL_FORCE_LAPS;
        }
        if (forces->count == forces->limit) {
            return TL_FORCE_FULL;
        }
        memmove(at + 1, at, (forces->count - place) * sizeof *at);
        forces->count++;
    }
    *at = (struct tl_force){.offset = offset, .bytes = bytes};
    memcpy(at->value, value, bytes);
    return TL_FORCE_OK;
}

enum tl_force_result tl_force_set(struct tl_forces *forces, uint32_t offset, uint32_t bytes, const void *value,
                                  uint32_t state_bytes)
{
    if ((bytes != 1u && bytes != 2u && bytes != 4u && bytes != 8u) || bytes > state_bytes ||
        offset > state_bytes - bytes) {
        return TL_FORCE_RANGE;
    }
    return insert(forces, offset, bytes, value);
}

enum tl_force_result tl_force_clear(struct tl_forces *forces, uint32_t offset)
{
    const uint32_t place = place_of(forces, offset);
    struct tl_force *at = &forces->list[place];
    if (place == forces->count || at->offset != offset) {
        return TL_FORCE_ABSENT;
    }
    forces->count--;
    memmove(at, at + 1, (forces->count - place) * sizeof *at);
    return TL_FORCE_OK;
}

void tl_force_clear_all(struct tl_forces *forces)
{
    forces->count = 0;
}

void tl_force_apply(const struct tl_forces *forces, void *state)
{
    unsigned char *base = state;
    for (uint32_t i = 0; i < forces->count; i++) {
        memcpy(base + forces->list[i].offset, forces->list[i].value, forces->list[i].bytes);
    }
}

bool tl_move_find(const struct tl_move *moves, size_t count, uint32_t from, uint32_t bytes, uint32_t *to)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) { /* the first move that begins past `from` */
        const size_t middle = low + (high - low) / 2u;
        if (moves[middle].from <= from) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return false;
    }
    const struct tl_move *move = &moves[low - 1u];
    const uint32_t into = from - move->from;
    if (into > move->bytes || bytes > move->bytes - into) {
        return false;
    }
    *to = move->to + into;
    return true;
}

uint32_t tl_force_move(struct tl_forces *forces, const struct tl_move *moves, size_t count)
{
    const uint32_t before = forces->count;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < before; i++) {
        struct tl_force force = forces->list[i];
        if (tl_move_find(moves, count, force.offset, force.bytes, &force.offset)) {
            forces->list[kept++] = force;
        }
    }
    /* Moves keep no order among offsets: sort again, by insertion, for the list is short. */
    for (uint32_t i = 1; i < kept; i++) {
        const struct tl_force force = forces->list[i];
        uint32_t place = i;
        for (; place > 0 && forces->list[place - 1u].offset > force.offset; place--) {
            forces->list[place] = forces->list[place - 1u];
        }
        forces->list[place] = force;
    }
    forces->count = kept;
    return before - kept;
}
