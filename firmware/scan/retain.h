/* Retained variables on a medium that may lose power at any write: two copies, the newer whole one counts.
 *
 * Drawn in docs/formats/retain.md. The medium is a struct of functions, so that a file, a flash page or a test that
 * cuts the power all serve.
 */
#ifndef TIELINE_RETAIN_H
#define TIELINE_RETAIN_H

#include "program.h"

#define TL_RETAIN_MAGIC UINT32_C(0x52454C54) /* "TLER" read as little-endian bytes */
#define TL_RETAIN_VERSION 1u
#define TL_RETAIN_HEADER 32u

/* Two places of `place_bytes` each: copy 0 at 0, copy 1 at place_bytes. Functions return false on failure. */
struct tl_medium {
    void *context;
    size_t place_bytes;
    bool (*read)(void *context, size_t offset, void *to, size_t bytes);
    bool (*write)(void *context, size_t offset, const void *from, size_t bytes);
    bool (*sync)(void *context); /* all that was written before is durable when it returns true */
};

/* Variables that are retained together, by their offsets from one base. */
struct tl_retain_block {
    const struct tl_retained *rows;
    uint32_t count;
    uint32_t restored; /* out, of a load */
    void *base;
};

enum tl_retain_result {
    TL_RETAIN_OK = 0,
    TL_RETAIN_NONE,  /* neither copy is whole: a new medium, or one of another version */
    TL_RETAIN_ROOM,  /* work space or place too small */
    TL_RETAIN_MEDIUM /* the medium failed */
};

struct tl_retain {
    struct tl_medium medium;
    unsigned char *buffer; /* work space of the caller: tl_retain_bytes */
    size_t buffer_bytes;
    uint64_t sequence; /* of the newest whole copy; 0: none */
};

/* Bytes a place (and the work space) must have for these blocks. */
size_t tl_retain_bytes(const struct tl_retain_block *blocks, size_t count);

/* Find the newest whole copy and put every variable whose key and size the blocks still have where it belongs; each
 * block counts its own. TL_RETAIN_NONE leaves all alone. Must be called before the first save, which continues its
 * sequence. */
enum tl_retain_result tl_retain_load(struct tl_retain *retain, struct tl_retain_block *blocks, size_t count);

/* Write the retained variables over the older copy. When this returns TL_RETAIN_OK they survive a power cut;
 * when the power goes during it, the copy before does. */
enum tl_retain_result tl_retain_save(struct tl_retain *retain, const struct tl_retain_block *blocks, size_t count);

/* CRC-32C (Castagnoli, reflected 0x82F63B78), as iSCSI and ext4 use it; exposed for tests. */
uint32_t tl_crc32c(uint32_t crc, const void *bytes, size_t count);

#endif
