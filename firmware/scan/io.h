/* Between the tag image and a program's variables: all inputs in as one snapshot, all outputs out as one batch.
 *
 * The caller owns every array. Nothing here allocates, blocks or calls the operating system.
 */
#ifndef TIELINE_IO_H
#define TIELINE_IO_H

#include "image.h"
#include "program.h"

#define TL_NO_OFFSET UINT32_MAX

/* OPC UA StatusCodes the scan sets by itself. */
#define TL_STATUS_GOOD UINT32_C(0)
#define TL_STATUS_OUT_OF_RANGE UINT32_C(0x803C0000) /* the variable cannot hold the tag's value */
#define TL_STATUS_OUT_OF_SERVICE \
    UINT32_C(0x808D0000) /* the program is stopped or faulted; the value is the safe one */

/* A tag and the variable it goes with. */
struct tl_point {
    uint32_t tag;
    uint32_t offset;         /* of the variable in the state */
    uint32_t quality_offset; /* of a 32-bit word for the tag's StatusCode (inputs); TL_NO_OFFSET: none */
    uint8_t kind;            /* enum tl_kind of the variable; TL_KIND_STRING is not wired by this table */
    uint8_t type;            /* enum tl_type of the tag */
    uint16_t unused;
    uint64_t safe; /* raw bits of the tag's type that an output takes when the program does not run */
};

struct tl_io {
    const struct tl_point *inputs;
    const struct tl_point *outputs;
    size_t input_count;
    size_t output_count;
    /* Work space: input_count each. */
    uint32_t *input_tags;
    struct tl_sample *samples;
    /* Work space: output_count each. */
    uint64_t *published;
    uint32_t *published_statuses;
    uint32_t *changed_tags;
    uint64_t *changed_values;
    uint32_t *changed_statuses;
    bool is_published; /* false until the first write: then everything goes out */
};

/* Fill the work space that never changes. */
void tl_io_start(struct tl_io *io);

/* Copy the present sample of every input into its variable. A Bad sample leaves the variable as it was, for its value
 * is the last good one at best; so does one the variable cannot hold, with Bad_OutOfRange as its quality. Real to
 * integer rounds to nearest, ties to even. */
enum tl_result tl_io_read(struct tl_io *io, const struct tl_image *image, void *state);

/* Publish outputs that changed since the last call, all of them where `everything`; with `state` NULL their safe
 * values, Bad_OutOfService. A NaN never goes out: the value before it stays, with Bad_OutOfRange. *count is how many
 * went out. */
enum tl_result tl_io_write(struct tl_io *io, const struct tl_image *image, uint32_t owner, const void *state,
                           bool everything, int64_t wall_ns, size_t *count);

#endif
