/* Image and journal of one site in one block of memory that its caller owns. The layout is drawn in
 * docs/formats/image.md; the rules that make it safe between processes stand beside each function.
 *
 * One owner writes a tag, anybody reads. Nothing here allocates, blocks, or calls the operating system.
 */
#ifndef TIELINE_IMAGE_H
#define TIELINE_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TL_MAGIC UINT64_C(0x31474D494E454C54) /* "TLENIMG1" read as little-endian bytes */
#define TL_VERSION 1u
#define TL_MAX_TAGS 1000000u
#define TL_MAX_OWNERS 256u
#define TL_MAX_NAME 255u
#define TL_MAX_OWNER_NAME 31u
#define TL_MAX_TEXT 4000u /* bytes of one string: its length has 16 bits, and a text ring must hold several */
#define TL_MIN_RECORDS 1024u
#define TL_MAX_RECORDS (UINT64_C(1) << 28) /* 8 GiB a lane: more is a mistake, not a wish */
#define TL_MIN_TEXT_RING (UINT64_C(64) * 1024u)
#define TL_MAX_TEXT_RING (UINT64_C(1) << 32)
#define TL_NO_TAG UINT32_MAX

#define TL_STATUS_WAITING UINT32_C(0x80320000) /* Bad_WaitingForInitialData: what every tag starts as */

enum tl_type { TL_BOOL = 1, TL_INT64 = 2, TL_UINT64 = 3, TL_DOUBLE = 4, TL_STRING = 5 };

enum tl_result {
    TL_OK = 0,
    TL_ERROR_ARGUMENT,  /* a count, size or name is out of its limits */
    TL_ERROR_MEMORY,    /* the block is too small or not aligned to 64 bytes */
    TL_ERROR_FORMAT,    /* the block holds no region of this version */
    TL_ERROR_DUPLICATE, /* two tags of one name */
    TL_ERROR_NO_TAG,    /* a tag index past the table */
    TL_ERROR_OWNER,     /* a tag of somebody else */
    TL_ERROR_TYPE,      /* a number for a string tag, or a string for a number tag */
    TL_ERROR_TEXT,      /* a string longer than its tag's bound */
    TL_ERROR_POSITION,  /* a journal position that was never written */
};

/* One change, and one row of a snapshot: 32 bytes. Times are UTC nanoseconds since 1970. */
struct tl_sample {
    uint32_t tag;
    uint32_t status; /* OPC UA StatusCode */
    uint64_t value;  /* raw bits by the tag's type; for a string: position in the text ring << 16 | bytes */
    int64_t source_time;
    int64_t receipt_time;
};

/* What a region is made from. Arrays have tag_count entries, names are not NUL-terminated. */
struct tl_plan {
    uint32_t tag_count;
    uint32_t owner_count;
    const char *const *names;
    const uint16_t *name_bytes;
    const uint8_t *types;
    const uint16_t *owners;
    const uint32_t *string_bytes;
    const char *const *owner_names; /* owner_count NUL-terminated strings */
    uint64_t journal_records;       /* an owner; rounded up to a power of two */
    uint64_t text_bytes;            /* an owner; rounded up to a power of two */
    uint64_t instance;
    int64_t created_ns;
    uint64_t creator_pid;
    int64_t time_step_ns; /* source times are brought to multiples of it; 0: kept as they are given */
};

/* A slot is one cache line with two halves. Half `sequence & 1` is the value; a writer fills the other half and
 * then raises the sequence, so a writer that dies or is stopped half way leaves the old value standing and
 * never makes a reader wait. */
struct tl_slot {
    _Atomic uint32_t sequence;
    _Atomic uint32_t status[2];
    uint32_t unused;
    struct {
        _Atomic uint64_t value;
        _Atomic int64_t source_time;
        _Atomic int64_t receipt_time;
    } half[2];
};
_Static_assert(sizeof(struct tl_slot) == 64, "a slot is one cache line");

/* A journal lane: the ring of one owner, with that owner as its only writer. */
struct tl_lane {
    char name[TL_MAX_OWNER_NAME + 1u];
    uint64_t records_offset;
    uint64_t text_offset;
    uint64_t record_capacity;
    uint64_t text_capacity;
    _Atomic uint64_t claimed;      /* records below claimed - capacity may be overwritten at any moment */
    _Atomic uint64_t published;    /* records below are whole */
    _Atomic uint64_t text_claimed; /* the same for bytes of the text ring */
    uint64_t unused[5];
};
_Static_assert(sizeof(struct tl_lane) == 128, "two cache lines a lane");

struct tl_entry {
    uint32_t name_offset; /* from names_offset */
    uint16_t name_bytes;
    uint16_t string_bytes;
    uint64_t text_offset; /* of the tag's two text halves from texts_offset; 0 unless it is a string */
};
_Static_assert(sizeof(struct tl_entry) == 16, "four entries a cache line");

struct tl_header {
    uint64_t magic;
    uint32_t version;
    uint32_t tag_count;
    uint32_t owner_count;
    uint32_t index_entries; /* of the hash index, a power of two */
    uint64_t instance;
    int64_t created_ns;
    uint64_t creator_pid;
    uint64_t bytes;
    uint64_t slots_offset;
    uint64_t entries_offset;
    uint64_t types_offset;
    uint64_t owners_offset;
    uint64_t index_offset;
    uint64_t names_offset;
    uint64_t texts_offset;
    uint64_t lanes_offset;
    int64_t time_step_ns;  /* 0: source times are kept as they are given */
    _Atomic uint32_t bell; /* raised after every write; readers sleep on it */
    uint32_t unused1[15];
};
_Static_assert(sizeof(struct tl_header) == 192, "header is three cache lines");

/* A view of a region: plain pointers into the caller's block. */
struct tl_image {
    struct tl_header *header;
    struct tl_slot *slots;
    const struct tl_entry *entries;
    const uint8_t *types;
    const uint16_t *owners;
    const uint32_t *index;
    const char *names;
    unsigned char *texts;
    struct tl_lane *lanes;
    unsigned char *base;
};

/* Bytes a region of this plan needs; 0 if the plan is out of its limits. */
size_t tl_image_bytes(const struct tl_plan *plan);

/* Lay out a zeroed block of tl_image_bytes(plan). No one else may look at it before this returns. */
enum tl_result tl_image_format(void *memory, size_t bytes, const struct tl_plan *plan, struct tl_image *image);

/* View a formatted block. Checks that all offsets lie inside it. */
enum tl_result tl_image_open(void *memory, size_t bytes, struct tl_image *image);

/* The tag of this name, or TL_NO_TAG. */
uint32_t tl_image_find(const struct tl_image *image, const char *name, size_t name_bytes);

/* Present samples of `count` tags, or of the first `count` tags of the table where `tags` is NULL. Each is whole.
 * Wait-free but for a writer that finishes two writes of the same tag during the read. */
enum tl_result tl_image_read(const struct tl_image *image, const uint32_t *tags, size_t count, struct tl_sample *out);

/* The present sample of one string tag and its bytes; `text` has room for TL_MAX_TEXT. */
enum tl_result tl_image_read_text(const struct tl_image *image, uint32_t tag, struct tl_sample *out, char *text,
                                  size_t *text_bytes);

/* Arrays of a batch; a step of 0 makes one number stand for all rows, 1 takes a number a row. */
struct tl_batch {
    const uint32_t *tags;
    const uint64_t *values;
    const uint32_t *statuses;
    const int64_t *source_times;
    const int64_t *receipt_times;
    size_t count;
    size_t value_step;
    size_t status_step;
    size_t source_step;
    size_t receipt_step;
};

/* Write a batch into image and journal. Source times are brought to the region's step, towards 1970, here and in the
 * two functions below, which is every way in: so whoever reads image, journal or history reads the same time. Only
 * the one holder of the owner's claim may call this, from one thread at a time. The batch is checked whole first; on
 * an error nothing is written and *bad_row says where. */
enum tl_result tl_image_write(const struct tl_image *image, uint32_t owner, const struct tl_batch *batch,
                              size_t *bad_row);

/* Write one string. */
enum tl_result tl_image_write_text(const struct tl_image *image, uint32_t owner, uint32_t tag, const char *text,
                                   size_t text_bytes, uint32_t status, int64_t source_time, int64_t receipt_time);

/* Give a tag of this owner a new status; its value stays, both its times become `now`, because the quality changed
 * then (OPC 10000-4 7.11.3). Nothing happens where the status is the same already. */
enum tl_result tl_image_invalidate(const struct tl_image *image, uint32_t owner, uint32_t tag, uint32_t status,
                                   int64_t now);

/* Oldest record still kept, and the end, of an owner's journal. */
void tl_journal_bounds(const struct tl_image *image, uint32_t owner, uint64_t *oldest, uint64_t *end);

/* The end of what the owner may be writing at this moment: all before it is written, or will never be. */
uint64_t tl_journal_claimed(const struct tl_image *image, uint32_t owner);

/* Copy up to `limit` records from *cursor on; moves the cursor and counts those that were overwritten before they
 * could be read. Every record copied is whole. */
enum tl_result tl_journal_take(const struct tl_image *image, uint32_t owner, uint64_t *cursor, struct tl_sample *out,
                               size_t limit, size_t *count, uint64_t *lost);

/* The string a record of a string tag refers to; false where it was overwritten. `text` has room for TL_MAX_TEXT. */
bool tl_journal_text(const struct tl_image *image, uint32_t owner, uint64_t reference, char *text,
                     size_t *text_bytes);

#endif
