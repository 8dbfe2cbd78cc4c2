/* See retain.h. A copy is a header of 32 bytes and a payload:
 *   magic u32 | version u32 | sequence u64 | payload bytes u32 | variables u32 | CRC-32C of payload u32 | of header
 * u32 payload: for each variable key u64, bytes u32, data
 */
#include "retain.h"

#include <string.h>

#define ENTRY_HEAD 12u

struct head {
    uint32_t magic;
    uint32_t version;
    uint64_t sequence;
    uint32_t payload_bytes;
    uint32_t count;
    uint32_t payload_crc;
    uint32_t head_crc;
};
_Static_assert(sizeof(struct head) == TL_RETAIN_HEADER, "the header is drawn");

uint32_t tl_crc32c(uint32_t crc, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (UINT32_C(0x82F63B78) & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

size_t tl_retain_bytes(const struct tl_retain_block *blocks, size_t count)
{
    size_t bytes = TL_RETAIN_HEADER;
    for (size_t block = 0; block < count; block++) {
        for (uint32_t i = 0; i < blocks[block].count; i++) {
            bytes += ENTRY_HEAD + blocks[block].rows[i].bytes;
        }
    }
    return bytes;
}

/* Read copy `place` whole into the buffer; false where it is not whole or does not fit. */
static bool read_copy(const struct tl_retain *retain, unsigned place, struct head *head)
{
    const size_t offset = place * retain->medium.place_bytes;
    if (!retain->medium.read(retain->medium.context, offset, head, sizeof *head) || head->magic != TL_RETAIN_MAGIC ||
        head->version != TL_RETAIN_VERSION || head->head_crc != tl_crc32c(0, head, offsetof(struct head, head_crc)) ||
        head->payload_bytes > retain->medium.place_bytes - TL_RETAIN_HEADER ||
        head->payload_bytes > retain->buffer_bytes) {
        return false;
    }
    return retain->medium.read(retain->medium.context, offset + TL_RETAIN_HEADER, retain->buffer,
                               head->payload_bytes) &&
           head->payload_crc == tl_crc32c(0, retain->buffer, head->payload_bytes);
}

static void restore_one(struct tl_retain_block *blocks, size_t count, uint64_t key, uint32_t bytes, const void *from)
{
    for (size_t block = 0; block < count; block++) {
        for (uint32_t i = 0; i < blocks[block].count; i++) {
            const struct tl_retained *row = &blocks[block].rows[i];
            if (row->key == key && row->bytes == bytes) {
                memcpy((unsigned char *)blocks[block].base + row->offset, from, bytes);
                blocks[block].restored++;
                return;
            }
        }
    }
}

static void restore(const struct tl_retain *retain, const struct head *head, struct tl_retain_block *blocks,
                    size_t count)
{
    size_t at = 0;
    for (uint32_t i = 0; i < head->count && head->payload_bytes - at >= ENTRY_HEAD; i++) {
        uint64_t key;
        uint32_t bytes;
        memcpy(&key, retain->buffer + at, sizeof key);
        memcpy(&bytes, retain->buffer + at + sizeof key, sizeof bytes);
        at += ENTRY_HEAD;
        if (bytes > head->payload_bytes - at) {
            break;
        }
        restore_one(blocks, count, key, bytes, retain->buffer + at);
        at += bytes;
    }
}

enum tl_retain_result tl_retain_load(struct tl_retain *retain, struct tl_retain_block *blocks, size_t count)
{
    struct head heads[2];
    for (size_t block = 0; block < count; block++) {
        blocks[block].restored = 0;
    }
    retain->sequence = 0;
    if (retain->medium.place_bytes < TL_RETAIN_HEADER) {
        return TL_RETAIN_ROOM;
    }
    const bool is_whole[2] = {read_copy(retain, 0, &heads[0]), read_copy(retain, 1, &heads[1])};
    if (!is_whole[0] && !is_whole[1]) {
        return TL_RETAIN_NONE;
    }
    const unsigned newer = !is_whole[0] || (is_whole[1] && heads[1].sequence > heads[0].sequence) ? 1u : 0u;
    if (newer == 0 && !read_copy(retain, 0, &heads[0])) { /* copy 1 went through the buffer last */
        return TL_RETAIN_MEDIUM;
    }
    retain->sequence = heads[newer].sequence;
    restore(retain, &heads[newer], blocks, count);
    return TL_RETAIN_OK;
}

enum tl_retain_result tl_retain_save(struct tl_retain *retain, const struct tl_retain_block *blocks, size_t count)
{
    const size_t bytes = tl_retain_bytes(blocks, count);
    if (bytes > retain->buffer_bytes || bytes > retain->medium.place_bytes) {
        return TL_RETAIN_ROOM;
    }
    unsigned char *payload = retain->buffer + TL_RETAIN_HEADER;
    size_t at = 0;
    uint32_t variables = 0;
    for (size_t block = 0; block < count; block++) {
        for (uint32_t i = 0; i < blocks[block].count; i++) {
            const struct tl_retained *row = &blocks[block].rows[i];
            memcpy(payload + at, &row->key, sizeof row->key);
            memcpy(payload + at + sizeof row->key, &row->bytes, sizeof row->bytes);
            memcpy(payload + at + ENTRY_HEAD, (const unsigned char *)blocks[block].base + row->offset, row->bytes);
            at += ENTRY_HEAD + row->bytes;
            variables++;
        }
    }
    struct head head = {
        .magic = TL_RETAIN_MAGIC,
        .version = TL_RETAIN_VERSION,
        .sequence = retain->sequence + 1u,
        .payload_bytes = (uint32_t)at,
        .count = variables,
        .payload_crc = tl_crc32c(0, payload, at),
    };
    head.head_crc = tl_crc32c(0, &head, offsetof(struct head, head_crc));
    memcpy(retain->buffer, &head, sizeof head);
    /* Odd sequences live in copy 1, even ones in copy 0: the newest whole copy is never the one written over. */
    const size_t offset = (head.sequence & 1u) * retain->medium.place_bytes;
    if (!retain->medium.write(retain->medium.context, offset, retain->buffer, bytes) ||
        !retain->medium.sync(retain->medium.context)) {
        return TL_RETAIN_MEDIUM;
    }
    retain->sequence = head.sequence;
    return TL_RETAIN_OK;
}
