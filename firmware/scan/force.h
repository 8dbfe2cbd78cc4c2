/* Variables held at a value against the program: a short list, applied around every task.
 *
 * A force is known by the offset of its variable. It acts on the variable's bytes, so that generated code carries no
 * check for it: between two applications the program may see what it has itself written in that scan.
 */
#ifndef TIELINE_FORCE_H
#define TIELINE_FORCE_H

#include "program.h"

#define TL_FORCE_BYTES 8u /* elementary variables; strings are written, not forced */

/* A piece of one state that goes to another: a variable that still exists after an online change. */
struct tl_move {
    uint32_t from;
    uint32_t to;
    uint32_t bytes;
};

struct tl_force {
    uint32_t offset;
    uint32_t bytes; /* 1, 2, 4 or 8 */
    unsigned char value[TL_FORCE_BYTES];
};

struct tl_forces {
    struct tl_force *list; /* of the caller, by offset */
    uint32_t limit;
    uint32_t count;
};

enum tl_force_result {
    TL_FORCE_OK = 0,
    TL_FORCE_RANGE, /* not 1, 2, 4 or 8 bytes inside the state */
    TL_FORCE_LAPS,  /* shares bytes with another force */
    TL_FORCE_FULL,
    TL_FORCE_ABSENT, /* nothing is forced there */
};

/* Hold a variable; one that is held already gets the new value. */
enum tl_force_result tl_force_set(struct tl_forces *forces, uint32_t offset, uint32_t bytes, const void *value,
                                  uint32_t state_bytes);
enum tl_force_result tl_force_clear(struct tl_forces *forces, uint32_t offset);
void tl_force_clear_all(struct tl_forces *forces);

/* Put the held values into the state. */
void tl_force_apply(const struct tl_forces *forces, void *state);

/* Follow the variables to another state; those that are in no move are held no more. Returns how many those were. */
uint32_t tl_force_move(struct tl_forces *forces, const struct tl_move *moves, size_t count);

/* Where the bytes at `from` go: false where they are not whole inside one move. Moves are sorted by `from` and share
 * no bytes. */
bool tl_move_find(const struct tl_move *moves, size_t count, uint32_t from, uint32_t bytes, uint32_t *to);

#endif
