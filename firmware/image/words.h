/* Orders of memory that image and journal rest on, in one place.
 *
 * Every shared word is an atomic: data words are stored with release and loaded with acquire order. So a reader
 * that meets a word of a later write also sees the sequence or claim stored before that word, and knows. Fences
 * would do the same, but ThreadSanitizer cannot follow them; on x86-64 both compile to plain moves.
 */
#ifndef TIELINE_WORDS_H
#define TIELINE_WORDS_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define TL_LOAD(word) atomic_load_explicit(&(word), memory_order_acquire)
#define TL_LOAD_RELAXED(word) atomic_load_explicit(&(word), memory_order_relaxed)
#define TL_STORE(word, value) atomic_store_explicit(&(word), (value), memory_order_release)

/* Ask for a cache line that will be read, or written, some rows from now: a hint, which no target need follow. Tags
 * of a batch lie all over the table, and without it each row waits for its slot by itself: 1.5 to 2 times as long. */
#if defined(__GNUC__)
#define TL_SOON_READ(address) __builtin_prefetch((const void *)(address), 0, 3)
#define TL_SOON_WRITTEN(address) __builtin_prefetch((const void *)(address), 1, 3)
#else
#define TL_SOON_READ(address) ((void)(address))
#define TL_SOON_WRITTEN(address) ((void)(address))
#endif

/* Copy bytes to or from shared memory by whole 8-byte words; the shared side is aligned and padded to them. */
static inline void tl_words_store(_Atomic uint64_t *to, const char *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = 0;
        memcpy(&word, from + at, bytes - at < 8 ? bytes - at : 8);
        TL_STORE(to[at / 8], word);
    }
}

static inline void tl_words_load(char *to, _Atomic uint64_t *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = TL_LOAD(from[at / 8]);
        memcpy(to + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
}

static inline size_t tl_padded(size_t bytes)
{
    return (bytes + 7u) & ~(size_t)7u;
}

#endif
