/* Between the tag image and a program's variables: all inputs in as one snapshot, all outputs out as one batch, and
 * the setpoints between both.
 *
 * Nothing here allocates, blocks or calls the operating system. The caller gives the rows and one block of memory.
 *
 * What costs is memory that is touched: at 10,000 inputs of a cache line each their slots alone are more than the
 * processor's second cache. So inputs follow the journal, which says what has changed since the scan before; where
 * that would be more than reading every slot, they are read. All inputs are kept as the bytes of their variables, in
 * pieces of neighbours, and go into the state by copying these pieces; outputs are compared with such a copy the same
 * way.
 */
#ifndef TIELINE_IO_H
#define TIELINE_IO_H

#include "image.h"
#include "program.h"
#include "setpoint.h"

#define TL_NO_OFFSET UINT32_MAX
#define TL_IO_ALIGNMENT 64u

/* OPC UA StatusCodes the scan sets by itself. */
#define TL_STATUS_GOOD UINT32_C(0)
#define TL_STATUS_NO_DATA UINT32_C(0x809B0000)      /* the program has released the output */
#define TL_STATUS_OUT_OF_RANGE UINT32_C(0x803C0000) /* the variable cannot hold the tag's value */
#define TL_STATUS_OUT_OF_SERVICE \
    UINT32_C(0x808D0000) /* the program is stopped or faulted; the value is the safe one */

/* Rows of the wiring file. */
struct tl_input {
    uint32_t tag;
    uint32_t offset;         /* of the variable in the state */
    uint32_t quality_offset; /* of a 32-bit word for the tag's StatusCode; TL_NO_OFFSET: none */
    uint8_t kind;            /* enum tl_kind of the variable; strings are not wired */
    uint8_t type;            /* enum tl_type of the tag */
    uint16_t unused;
    uint32_t good_offset; /* of a BOOL: the tag is Good; TL_NO_OFFSET: none */
    uint32_t unused1;
};

#define TL_OUTPUT_HOLDS 1u /* flag: no safe value, the last one stays */

struct tl_output {
    uint32_t tag;
    uint32_t offset;
    uint32_t active_offset; /* of a BOOL: the program holds the tag; TL_NO_OFFSET: always */
    uint8_t kind;
    uint8_t type;
    uint16_t flags;
    uint64_t safe; /* raw bits of the tag's type that it takes when the program does not run */
};
_Static_assert(sizeof(struct tl_input) == 24 && sizeof(struct tl_output) == 24, "rows are drawn");

struct tl_landing;
struct tl_piece_in;
struct tl_piece_out;
struct tl_followed;

struct tl_io {
    const struct tl_input *inputs;
    const struct tl_output *outputs;
    const struct tl_setpoint *setpoints;
    size_t input_count;
    size_t output_count;
    size_t setpoint_count;

    /* Everything else is placed by tl_io_start. */
    struct tl_setpoint_record *records; /* setpoint_count */

    struct tl_landing *landings; /* where each input's bytes lie in `shadow` */
    struct tl_piece_in *pieces_in;
    struct tl_followed *followed; /* the journal lanes that inputs come from */
    struct tl_sample *samples;
    unsigned char *shadow; /* inputs as the bytes of their variables, status words and flags */
    uint32_t *input_tags;
    uint32_t *row_of_tag; /* of every tag of the image: the first input of it */
    size_t piece_in_count;
    size_t followed_count;
    bool is_followed; /* the cursors are in step with `shadow` */

    struct tl_piece_out *pieces_out;
    uint32_t *held; /* outputs that the program can release: looked at one by one */
    unsigned char *output_shadow;
    uint32_t *output_at; /* each output's place there */
    size_t piece_out_count;
    size_t held_count;
    /* Outputs, then three a setpoint: accepted, reason, answered. */
    uint64_t *published;
    uint32_t *published_statuses;
    uint32_t *changed_tags;
    uint64_t *changed_values;
    uint32_t *changed_statuses;
    size_t changed_count;
    bool is_published; /* false until the first write: then everything goes out */
    bool is_safe;      /* what was published is the safe state */
};

/* Bytes of memory for the work space of these rows. */
size_t tl_io_bytes(const struct tl_io *io, const struct tl_image *image);

/* Lay out the work space, aligned to TL_IO_ALIGNMENT. */
void tl_io_start(struct tl_io *io, const struct tl_image *image, void *memory);

/* Take the variables of a state as they begin, and read every input anew in the next scan. */
void tl_io_begin(struct tl_io *io, const void *state);

/* The present sample of every input into its variable. A Bad sample leaves the variable at the last good value (at
 * first: as the program began); so does one the variable cannot hold, with Bad_OutOfRange as its quality. Setpoints
 * are judged, and their values go into their variables. `now` is monotonic. */
enum tl_result tl_io_read(struct tl_io *io, const struct tl_image *image, void *state, int64_t now, int64_t wall_ns);

/* Publish what changed since the last call, all of it where `everything`; with `state` NULL the outputs' safe values,
 * Bad_OutOfService. A NaN never goes out: the value before it stays, with Bad_OutOfRange. *count is how many went
 * out. */
enum tl_result tl_io_write(struct tl_io *io, const struct tl_image *image, uint32_t owner, const void *state,
                           bool everything, int64_t wall_ns, size_t *count);

#endif
