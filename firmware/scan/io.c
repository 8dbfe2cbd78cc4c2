/* See io.h. */
#include "io.h"

#include <string.h>

#define PIECE 128u      /* samples at a time: they stay in the processor's first cache */
#define LOOK_BYTES 128u /* outputs are compared this many bytes at a time */
#define NONE UINT32_MAX
#define PLAIN \
    UINT32_C(0x80000000)  /* of a tag's place: not an input's row, but where its eight bytes go as they are */
#define SETPOINT_TAGS 3u  /* published of each */
#define READ_ALL_FROM 64u /* so few inputs that nothing is won by following */
#define GOOD_MASK UINT32_C(0xC0000000)
#define BAD_BIT UINT32_C(0x80000000)

struct tl_landing {
    uint32_t value_at; /* in the shadow */
    uint32_t quality_at;
    uint32_t good_at;
    uint32_t next; /* input of the same tag */
};

/* Neighbours: bytes of the shadow that lie together in the state too. */
struct tl_piece_in {
    uint32_t offset;
    uint32_t at;
    uint32_t bytes;
};

/* Neighbours of one kind and one type of tag. */
struct tl_piece_out {
    uint32_t offset;
    uint32_t at;
    uint32_t bytes;
    uint32_t first; /* output */
    uint32_t size;  /* of each */
    uint8_t kind;
    uint8_t type;
};

struct tl_followed {
    uint32_t owner;
    uint64_t cursor;
    uint64_t settled; /* a record below may be older than what was read from its slot */
    uint64_t end;     /* of what this scan takes */
};

/* ── Work space ───────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes pieces of a block one after another; without one it only counts. */
struct taker {
    unsigned char *base;
    size_t taken;
};

static void *take(struct taker *from, size_t count, size_t bytes)
{
    void *at = from->base == NULL ? NULL : from->base + from->taken;
    from->taken += (count * bytes + TL_IO_ALIGNMENT - 1u) / TL_IO_ALIGNMENT * TL_IO_ALIGNMENT;
    return at;
}

static void place(struct tl_io *io, const struct tl_image *image, struct taker *from)
{
    const size_t in = io->input_count;
    const size_t out = io->output_count;
    const size_t all = out + SETPOINT_TAGS * io->setpoint_count;
    io->records = take(from, io->setpoint_count, sizeof *io->records);
    io->landings = take(from, in, sizeof *io->landings);
    io->pieces_in = take(from, 3u * in, sizeof *io->pieces_in);
    io->followed = take(from, image->header->owner_count, sizeof *io->followed);
    io->samples = take(from, PIECE, sizeof *io->samples);
    io->shadow = take(from, in, 8u + 4u + 1u);
    io->input_tags = take(from, in, sizeof *io->input_tags);
    io->row_of_tag = take(from, in == 0 ? 0 : image->header->tag_count, sizeof *io->row_of_tag);
    io->pieces_out = take(from, out, sizeof *io->pieces_out);
    io->held = take(from, out, sizeof *io->held);
    io->output_shadow = take(from, out, 8u);
    io->output_at = take(from, out, sizeof *io->output_at);
    io->published = take(from, all, sizeof *io->published);
    io->published_statuses = take(from, all, sizeof *io->published_statuses);
    io->changed_tags = take(from, all, sizeof *io->changed_tags);
    io->changed_values = take(from, all, sizeof *io->changed_values);
    io->changed_statuses = take(from, all, sizeof *io->changed_statuses);
}

size_t tl_io_bytes(const struct tl_io *io, const struct tl_image *image)
{
    struct tl_io counted = *io;
    struct taker from = {.base = NULL};
    place(&counted, image, &from);
    return from.taken;
}

/* Room for bytes of the state at the end of the shadow; they join the piece before where they follow on it. */
static uint32_t land(struct tl_io *io, uint32_t *filled, uint32_t offset, uint32_t bytes)
{
    if (offset == TL_NO_OFFSET) {
        return NONE;
    }
    const uint32_t at = *filled;
    *filled += bytes;
    struct tl_piece_in *last = io->piece_in_count == 0 ? NULL : &io->pieces_in[io->piece_in_count - 1u];
    if (last != NULL && last->offset + last->bytes == offset) {
        last->bytes += bytes;
    } else {
        io->pieces_in[io->piece_in_count++] = (struct tl_piece_in){.offset = offset, .at = at, .bytes = bytes};
    }
    return at;
}

static void land_inputs(struct tl_io *io)
{
    uint32_t filled = 0;
    for (size_t i = 0; i < io->input_count; i++) {
        io->landings[i].value_at = land(io, &filled, io->inputs[i].offset, tl_kind_bytes(io->inputs[i].kind));
    }
    for (size_t i = 0; i < io->input_count; i++) {
        io->landings[i].quality_at = land(io, &filled, io->inputs[i].quality_offset, 4u);
    }
    for (size_t i = 0; i < io->input_count; i++) {
        io->landings[i].good_at = land(io, &filled, io->inputs[i].good_offset, 1u);
    }
}

static void follow_owner(struct tl_io *io, uint32_t owner)
{
    for (size_t i = 0; i < io->followed_count; i++) {
        if (io->followed[i].owner == owner) {
            return;
        }
    }
    io->followed[io->followed_count++] = (struct tl_followed){.owner = owner};
}

/* Whether a tag's bits are the variable's, for one or the other kind of number. */
static bool is_same(uint8_t kind, uint8_t type)
{
    return (kind == TL_KIND_F64 && type == TL_DOUBLE) || (kind == TL_KIND_I64 && type == TL_INT64) ||
           (kind == TL_KIND_U64 && type == TL_UINT64);
}

static bool is_plain(const struct tl_io *io, uint32_t index)
{
    const struct tl_input *row = &io->inputs[index];
    return is_same(row->kind, row->type) && row->quality_offset == TL_NO_OFFSET && row->good_offset == TL_NO_OFFSET &&
           io->landings[index].next == NONE && io->landings[index].value_at < PLAIN;
}

static void find_inputs(struct tl_io *io, const struct tl_image *image)
{
    for (uint32_t tag = 0; io->input_count != 0 && tag < image->header->tag_count; tag++) {
        io->row_of_tag[tag] = NONE;
    }
    for (size_t i = 0; i < io->input_count; i++) {
        const uint32_t tag = io->inputs[i].tag;
        io->input_tags[i] = tag;
        io->landings[i].next = io->row_of_tag[tag];
        io->row_of_tag[tag] = (uint32_t)i;
        follow_owner(io, image->owners[tag]);
    }
    for (size_t i = 0; i < io->input_count; i++) { /* once no other row comes before it */
        const uint32_t tag = io->inputs[i].tag;
        if (io->row_of_tag[tag] == i && is_plain(io, (uint32_t)i)) {
            io->row_of_tag[tag] = PLAIN | io->landings[i].value_at;
        }
    }
}

static void lay_outputs(struct tl_io *io)
{
    uint32_t filled = 0;
    bool joins = false;
    for (size_t i = 0; i < io->output_count; i++) {
        const struct tl_output *row = &io->outputs[i];
        const uint32_t bytes = tl_kind_bytes(row->kind);
        io->output_at[i] = filled;
        if (row->active_offset != TL_NO_OFFSET) {
            io->held[io->held_count++] = (uint32_t)i;
            joins = false;
            continue;
        }
        struct tl_piece_out *last = joins ? &io->pieces_out[io->piece_out_count - 1u] : NULL;
        if (last != NULL && last->offset + last->bytes == row->offset && last->kind == row->kind &&
            last->type == row->type) {
            last->bytes += bytes;
        } else {
            io->pieces_out[io->piece_out_count++] = (struct tl_piece_out){.offset = row->offset,
                                                                          .at = filled,
                                                                          .bytes = bytes,
                                                                          .first = (uint32_t)i,
                                                                          .size = bytes,
                                                                          .kind = row->kind,
                                                                          .type = row->type};
        }
        filled += bytes;
        joins = true;
    }
}

void tl_io_start(struct tl_io *io, const struct tl_image *image, void *memory)
{
    struct taker from = {.base = memory};
    place(io, image, &from);
    io->piece_in_count = 0;
    io->followed_count = 0;
    io->piece_out_count = 0;
    io->held_count = 0;
    land_inputs(io);
    find_inputs(io, image);
    lay_outputs(io);
    for (size_t i = 0; i < io->output_count; i++) { /* what an output that holds begins with */
        struct tl_sample present;
        (void)tl_image_read(image, &io->outputs[i].tag, 1, &present);
        io->published[i] = present.value;
    }
    for (size_t i = 0; i < io->setpoint_count; i++) {
        tl_setpoint_reset(&io->setpoints[i], &io->records[i], 0);
    }
    io->is_followed = false;
    io->is_published = false;
    io->is_safe = false;
}

void tl_io_begin(struct tl_io *io, const void *state)
{
    const unsigned char *base = state;
    for (size_t i = 0; i < io->piece_in_count; i++) {
        const struct tl_piece_in *piece = &io->pieces_in[i];
        memcpy(io->shadow + piece->at, base + piece->offset, piece->bytes);
    }
    io->is_followed = false;
    io->is_published = false;
}

/* ── Inputs ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void accept(struct tl_io *io, uint32_t index, uint32_t status, uint64_t value)
{
    const struct tl_input *row = &io->inputs[index];
    const struct tl_landing *landing = &io->landings[index];
    if ((status & BAD_BIT) == 0) {
        unsigned char *at = io->shadow + landing->value_at;
        if (row->kind == TL_KIND_F64 && row->type == TL_DOUBLE) { /* by far the most common: nothing to convert */
            memcpy(at, &value, sizeof value);
        } else if (!tl_value_store(at, row->kind, value, row->type)) {
            status = TL_STATUS_OUT_OF_RANGE;
        }
    }
    if (landing->quality_at != NONE) {
        memcpy(io->shadow + landing->quality_at, &status, sizeof status);
    }
    if (landing->good_at != NONE) {
        io->shadow[landing->good_at] = (status & GOOD_MASK) == 0;
    }
}

static enum tl_result read_all(struct tl_io *io, const struct tl_image *image)
{
    uint64_t oldest;
    /* First the cursors, then the slots: what is written in between is read twice rather than never. */
    for (size_t i = 0; i < io->followed_count; i++) {
        tl_journal_bounds(image, io->followed[i].owner, &oldest, &io->followed[i].cursor);
    }
    for (size_t from = 0; from < io->input_count; from += PIECE) {
        const size_t left = io->input_count - from;
        const size_t count = left < PIECE ? left : PIECE;
        const enum tl_result result = tl_image_read(image, io->input_tags + from, count, io->samples);
        if (result != TL_OK) {
            return result;
        }
        for (size_t i = 0; i < count; i++) {
            accept(io, (uint32_t)(from + i), io->samples[i].status, io->samples[i].value);
        }
    }
    for (size_t i = 0; i < io->followed_count; i++) {
        io->followed[i].settled = tl_journal_claimed(image, io->followed[i].owner);
    }
    io->is_followed = io->input_count >= READ_ALL_FROM;
    return TL_OK;
}

/* Whether less is to be read from the journal than from the slots; sets how far. */
static bool is_less(struct tl_io *io, const struct tl_image *image)
{
    uint64_t records = 0;
    for (size_t i = 0; i < io->followed_count; i++) {
        struct tl_followed *lane = &io->followed[i];
        uint64_t oldest;
        tl_journal_bounds(image, lane->owner, &oldest, &lane->end);
        if (lane->cursor < oldest || lane->cursor > lane->end) {
            return false;
        }
        records += lane->end - lane->cursor;
    }
    return records <= 2u * io->input_count; /* a record is half a slot */
}

/* Take one lane's records; false where the writer was faster. */
static bool follow(struct tl_io *io, const struct tl_image *image, struct tl_followed *lane)
{
    while (lane->cursor < lane->end) {
        const uint64_t first = lane->cursor;
        const uint64_t left = lane->end - first;
        size_t count;
        uint64_t lost;
        if (tl_journal_take(image, lane->owner, &lane->cursor, io->samples, left < PIECE ? (size_t)left : PIECE,
                            &count, &lost) != TL_OK ||
            lost != 0) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            struct tl_sample *sample = &io->samples[i];
            uint32_t index = io->row_of_tag[sample->tag];
            if (index == NONE) {
                continue;
            }
            if (first + i < lane->settled) {
                /* The slot may be ahead of records that are still to come: so those are no news either. */
                const uint32_t tag = sample->tag;
                (void)tl_image_read(image, &tag, 1, sample);
                lane->settled = tl_journal_claimed(image, lane->owner);
            }
            if ((index & PLAIN) != 0) {
                if ((sample->status & BAD_BIT) == 0) {
                    memcpy(io->shadow + (index & ~PLAIN), &sample->value, sizeof sample->value);
                }
                continue;
            }
            for (; index != NONE; index = io->landings[index].next) {
                accept(io, index, sample->status, sample->value);
            }
        }
    }
    return true;
}

static enum tl_result read_inputs(struct tl_io *io, const struct tl_image *image)
{
    bool is_followed = io->is_followed && is_less(io, image);
    for (size_t i = 0; i < io->followed_count && is_followed; i++) {
        is_followed = follow(io, image, &io->followed[i]);
    }
    return is_followed ? TL_OK : read_all(io, image);
}

static void copy_inputs(const struct tl_io *io, unsigned char *base)
{
    for (size_t i = 0; i < io->piece_in_count; i++) {
        const struct tl_piece_in *piece = &io->pieces_in[i];
        const unsigned char *from = io->shadow + piece->at;
        switch (piece->bytes) { /* by sizes the compiler knows: single variables are many */
        case 8:
            memcpy(base + piece->offset, from, 8);
            break;
        case 4:
            memcpy(base + piece->offset, from, 4);
            break;
        case 1:
            base[piece->offset] = *from;
            break;
        default:
            memcpy(base + piece->offset, from, piece->bytes);
        }
    }
}

/* ── Setpoints ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* What stands in the three tags; false while the one who writes them is not done. The sequence is written last: read
 * first, it makes sure of the others; read once more, that no later ones have come between. */
static bool request_of(const struct tl_image *image, const struct tl_setpoint *row, const struct tl_sample *sequence,
                       struct tl_request *request)
{
    const uint32_t tags[] = {row->value_tag, row->until_tag, row->sequence_tag};
    struct tl_sample samples[3];
    if (tl_image_read(image, tags, 3, samples) != TL_OK || samples[2].value != sequence->value ||
        samples[0].source_time != sequence->source_time || samples[1].source_time != sequence->source_time) {
        return false;
    }
    *request = (struct tl_request){
        .value = samples[0].value,
        .sequence = sequence->value,
        .valid_until = (int64_t)samples[1].value,
        .issued = sequence->source_time,
        .is_good = ((samples[0].status | samples[1].status | samples[2].status) & GOOD_MASK) == 0,
    };
    return true;
}

static enum tl_result read_setpoints(const struct tl_io *io, const struct tl_image *image, unsigned char *base,
                                     int64_t now, int64_t wall)
{
    for (size_t i = 0; i < io->setpoint_count; i++) {
        const struct tl_setpoint *row = &io->setpoints[i];
        struct tl_setpoint_record *record = &io->records[i];
        struct tl_sample sequence;
        const enum tl_result result = tl_image_read(image, &row->sequence_tag, 1, &sequence);
        if (result != TL_OK) {
            return result;
        }
        tl_setpoint_age(row, record, now, wall);
        struct tl_request request;
        if (sequence.value != 0 && sequence.value != record->kept.answered &&
            request_of(image, row, &sequence, &request)) {
            (void)tl_setpoint_judge(row, record, &request, now, wall);
        }
        (void)tl_value_store(base + row->offset, row->kind, record->kept.value, row->type);
        if (row->valid_offset != TL_NO_OFFSET) {
            base[row->valid_offset] = record->kept.is_valid;
        }
    }
    return TL_OK;
}

enum tl_result tl_io_read(struct tl_io *io, const struct tl_image *image, void *state, int64_t now, int64_t wall_ns)
{
    const enum tl_result result = read_inputs(io, image);
    if (result != TL_OK) {
        return result;
    }
    copy_inputs(io, state);
    return read_setpoints(io, image, state, now, wall_ns);
}

/* ── Outputs ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Put a value on the list of what goes out, where it is not the one that did. */
static void publish(struct tl_io *io, size_t index, uint32_t tag, uint64_t value, uint32_t status, bool all)
{
    if (all || value != io->published[index] || status != io->published_statuses[index]) {
        io->published[index] = value;
        io->published_statuses[index] = status;
        io->changed_tags[io->changed_count] = tag;
        io->changed_values[io->changed_count] = value;
        io->changed_statuses[io->changed_count] = status;
        io->changed_count++;
    }
}

static void publish_variable(struct tl_io *io, size_t index, const unsigned char *base, bool all)
{
    const struct tl_output *row = &io->outputs[index];
    const uint64_t before =
        io->is_published || (row->flags & TL_OUTPUT_HOLDS) != 0 ? io->published[index] : row->safe;
    uint64_t value = before;
    uint32_t status = TL_STATUS_GOOD;
    if (row->active_offset != TL_NO_OFFSET && base[row->active_offset] == 0) {
        status = TL_STATUS_NO_DATA;
    } else if (!tl_value_load(base + row->offset, row->kind, row->type, &value)) {
        value = before;
        status = TL_STATUS_OUT_OF_RANGE;
    }
    publish(io, index, row->tag, value, status, all);
}

static void publish_safe(struct tl_io *io)
{
    for (size_t i = 0; i < io->output_count; i++) {
        const struct tl_output *row = &io->outputs[i];
        const uint64_t value = (row->flags & TL_OUTPUT_HOLDS) != 0 ? io->published[i] : row->safe;
        publish(io, i, row->tag, value, TL_STATUS_OUT_OF_SERVICE, true);
    }
}

static bool is_nan(uint64_t bits)
{
    return (bits & UINT64_C(0x7FFFFFFFFFFFFFFF)) > UINT64_C(0x7FF0000000000000);
}

/* Of variables whose bits are the tag's. */
static void publish_words(struct tl_io *io, const struct tl_piece_out *piece, const unsigned char *base,
                          uint32_t from, uint32_t bytes)
{
    const unsigned char *present = base + piece->offset;
    const unsigned char *shadow = io->output_shadow + piece->at;
    size_t index = piece->first + from / 8u;
    for (uint32_t at = from; at < from + bytes; at += 8u, index++) {
        uint64_t value;
        uint64_t before;
        memcpy(&value, present + at, 8);
        memcpy(&before, shadow + at, 8);
        if (value == before) {
            continue;
        }
        if (piece->kind == TL_KIND_F64 && is_nan(value)) {
            publish_variable(io, index, base, false);
        } else {
            publish(io, index, io->outputs[index].tag, value, TL_STATUS_GOOD, false);
        }
    }
}

static bool differs(const unsigned char *left, const unsigned char *right, uint32_t bytes)
{
    switch (bytes) { /* by sizes the compiler knows */
    case 1:
        return *left != *right;
    case 2:
        return memcmp(left, right, 2) != 0;
    case 4:
        return memcmp(left, right, 4) != 0;
    default:
        return memcmp(left, right, 8) != 0;
    }
}

/* Outputs of a piece whose bytes changed, found by comparing many at once. */
static void publish_piece(struct tl_io *io, const struct tl_piece_out *piece, const unsigned char *base)
{
    const unsigned char *present = base + piece->offset;
    unsigned char *shadow = io->output_shadow + piece->at;
    const bool has_words = is_same(piece->kind, piece->type);
    for (uint32_t from = 0; from < piece->bytes; from += LOOK_BYTES) {
        const uint32_t bytes = piece->bytes - from < LOOK_BYTES ? piece->bytes - from : LOOK_BYTES;
        if (memcmp(present + from, shadow + from, bytes) == 0) {
            continue;
        }
        if (has_words) {
            publish_words(io, piece, base, from, bytes);
        }
        for (uint32_t at = from; !has_words && at < from + bytes; at += piece->size) {
            if (differs(present + at, shadow + at, piece->size)) {
                publish_variable(io, piece->first + at / piece->size, base, false);
            }
        }
        memcpy(shadow + from, present + from, bytes);
    }
}

static void publish_changes(struct tl_io *io, const unsigned char *base)
{
    for (size_t i = 0; i < io->piece_out_count; i++) {
        publish_piece(io, &io->pieces_out[i], base);
    }
    for (size_t i = 0; i < io->held_count; i++) {
        publish_variable(io, io->held[i], base, false);
    }
}

static void publish_all(struct tl_io *io, const unsigned char *base)
{
    for (size_t i = 0; i < io->output_count; i++) {
        publish_variable(io, i, base, true);
    }
    for (size_t i = 0; i < io->piece_out_count; i++) {
        const struct tl_piece_out *piece = &io->pieces_out[i];
        memcpy(io->output_shadow + piece->at, base + piece->offset, piece->bytes);
    }
}

/* Who sees the answer sees what it says: the sequence goes last. */
static void publish_setpoints(struct tl_io *io, uint32_t status, bool all)
{
    for (size_t i = 0; i < io->setpoint_count; i++) {
        const struct tl_setpoint *row = &io->setpoints[i];
        const struct tl_setpoint_kept *kept = &io->records[i].kept;
        const size_t index = io->output_count + SETPOINT_TAGS * i;
        publish(io, index, row->accepted_tag, kept->value, status, all);
        publish(io, index + 1u, row->reason_tag, kept->reason, status, all);
        publish(io, index + 2u, row->answered_tag, kept->answered, status, all);
    }
}

enum tl_result tl_io_write(struct tl_io *io, const struct tl_image *image, uint32_t owner, const void *state,
                           bool everything, int64_t wall_ns, size_t *count)
{
    const bool all = everything || !io->is_published || io->is_safe != (state == NULL);
    io->changed_count = 0;
    *count = 0;
    if (state == NULL && all) {
        publish_safe(io);
    } else if (state != NULL && all) {
        publish_all(io, state);
    } else if (state != NULL) {
        publish_changes(io, state);
    }
    publish_setpoints(io, state == NULL ? TL_STATUS_OUT_OF_SERVICE : TL_STATUS_GOOD, all);
    io->is_safe = state == NULL;
    if (io->changed_count == 0) {
        io->is_published = true;
        return TL_OK;
    }
    const struct tl_batch batch = {
        .tags = io->changed_tags,
        .values = io->changed_values,
        .statuses = io->changed_statuses,
        .source_times = &wall_ns,
        .receipt_times = &wall_ns,
        .count = io->changed_count,
        .value_step = 1,
        .status_step = 1,
    };
    size_t bad_row;
    const enum tl_result result = tl_image_write(image, owner, &batch, &bad_row);
    io->is_published = result == TL_OK;
    *count = result == TL_OK ? io->changed_count : 0;
    return result;
}
