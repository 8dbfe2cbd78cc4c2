/* How a region is laid out, found valid, and searched by name. */
#include "image.h"
#include "words.h"

static uint64_t aligned(uint64_t offset)
{
    return (offset + 63u) & ~UINT64_C(63);
}

static uint64_t power_of_two(uint64_t at_least)
{
    uint64_t power = 1;
    while (power < at_least) {
        power <<= 1;
    }
    return power;
}

/* FNV-1a, 64 bit: names are short and few, and the same on every machine. */
static uint64_t hash_of(const char *name, size_t bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    }
    return hash ^ (hash >> 32);
}

static bool plan_fits(const struct tl_plan *plan)
{
    if (plan->tag_count == 0 || plan->tag_count > TL_MAX_TAGS || plan->owner_count == 0 ||
        plan->owner_count > TL_MAX_OWNERS || plan->journal_records < TL_MIN_RECORDS || plan->time_step_ns < 0 ||
        plan->journal_records > TL_MAX_RECORDS || plan->text_bytes < TL_MIN_TEXT_RING ||
        plan->text_bytes > TL_MAX_TEXT_RING) {
        return false;
    }
    for (uint32_t i = 0; i < plan->owner_count; i++) {
        const size_t bytes = strlen(plan->owner_names[i]);
        if (bytes == 0 || bytes > TL_MAX_OWNER_NAME) {
            return false;
        }
    }
    for (uint32_t i = 0; i < plan->tag_count; i++) {
        const bool is_string = plan->types[i] == TL_STRING;
        if (plan->name_bytes[i] == 0 || plan->name_bytes[i] > TL_MAX_NAME || plan->types[i] < TL_BOOL ||
            plan->types[i] > TL_STRING || plan->owners[i] >= plan->owner_count ||
            plan->string_bytes[i] > TL_MAX_TEXT || is_string != (plan->string_bytes[i] != 0)) {
            return false;
        }
    }
    return true;
}

/* The offsets of a plan, into a header whose other fields are left alone. */
static void place(const struct tl_plan *plan, struct tl_header *header)
{
    const uint64_t tags = plan->tag_count;
    uint64_t names = 0;
    uint64_t texts = 8; /* offset 0 means "no string" */
    for (uint32_t i = 0; i < plan->tag_count; i++) {
        names += plan->name_bytes[i];
        texts += 2u * tl_padded(plan->string_bytes[i]);
    }
    header->index_entries = (uint32_t)power_of_two(2u * tags);
    header->slots_offset = aligned(sizeof *header);
    header->entries_offset = aligned(header->slots_offset + tags * sizeof(struct tl_slot));
    header->types_offset = aligned(header->entries_offset + tags * sizeof(struct tl_entry));
    header->owners_offset = aligned(header->types_offset + tags);
    header->index_offset = aligned(header->owners_offset + tags * sizeof(uint16_t));
    header->names_offset = aligned(header->index_offset + header->index_entries * sizeof(uint32_t));
    header->texts_offset = aligned(header->names_offset + names);
    header->lanes_offset = aligned(header->texts_offset + texts);
    header->bytes = aligned(header->lanes_offset + plan->owner_count * sizeof(struct tl_lane)) +
                    plan->owner_count * (power_of_two(plan->journal_records) * sizeof(struct tl_sample) +
                                         power_of_two(plan->text_bytes));
}

size_t tl_image_bytes(const struct tl_plan *plan)
{
    struct tl_header header;
    if (!plan_fits(plan)) {
        return 0;
    }
    memset(&header, 0, sizeof header);
    place(plan, &header);
    return (size_t)header.bytes;
}

static void view(void *memory, struct tl_image *image)
{
    unsigned char *base = memory;
    struct tl_header *header = memory;
    image->base = base;
    image->header = header;
    image->slots = (struct tl_slot *)(void *)(base + header->slots_offset);
    image->entries = (const struct tl_entry *)(void *)(base + header->entries_offset);
    image->types = base + header->types_offset;
    image->owners = (const uint16_t *)(void *)(base + header->owners_offset);
    image->index = (const uint32_t *)(void *)(base + header->index_offset);
    image->names = (const char *)(base + header->names_offset);
    image->texts = base + header->texts_offset;
    image->lanes = (struct tl_lane *)(void *)(base + header->lanes_offset);
}

static enum tl_result name_tags(const struct tl_plan *plan, const struct tl_image *image, uint32_t *index,
                                struct tl_entry *entries, char *names)
{
    const uint32_t mask = image->header->index_entries - 1u;
    uint32_t name_offset = 0;
    uint64_t text_offset = 8;
    for (uint32_t tag = 0; tag < plan->tag_count; tag++) {
        const size_t bytes = plan->name_bytes[tag];
        if (tl_image_find(image, plan->names[tag], bytes) != TL_NO_TAG) {
            return TL_ERROR_DUPLICATE;
        }
        memcpy(names + name_offset, plan->names[tag], bytes);
        entries[tag].name_offset = name_offset;
        entries[tag].name_bytes = (uint16_t)bytes;
        entries[tag].string_bytes = (uint16_t)plan->string_bytes[tag];
        name_offset += (uint32_t)bytes;
        if (plan->types[tag] == TL_STRING) {
            entries[tag].text_offset = text_offset;
            text_offset += 2u * tl_padded(plan->string_bytes[tag]);
        }
        uint32_t at = (uint32_t)hash_of(plan->names[tag], bytes) & mask;
        while (index[at] != 0) {
            at = (at + 1u) & mask;
        }
        index[at] = tag + 1u;
    }
    return TL_OK;
}

enum tl_result tl_image_format(void *memory, size_t bytes, const struct tl_plan *plan, struct tl_image *image)
{
    const size_t needed = tl_image_bytes(plan);
    if (needed == 0) {
        return TL_ERROR_ARGUMENT;
    }
    if (bytes < needed || ((uintptr_t)memory & 63u) != 0) {
        return TL_ERROR_MEMORY;
    }
    struct tl_header *header = memory;
    place(plan, header);
    header->version = TL_VERSION;
    header->tag_count = plan->tag_count;
    header->owner_count = plan->owner_count;
    header->instance = plan->instance;
    header->created_ns = plan->created_ns;
    header->creator_pid = plan->creator_pid;
    header->time_step_ns = plan->time_step_ns;
    view(memory, image);

    unsigned char *base = memory;
    memcpy(base + header->types_offset, plan->types, plan->tag_count);
    memcpy(base + header->owners_offset, plan->owners, plan->tag_count * sizeof(uint16_t));
    const enum tl_result named =
        name_tags(plan, image, (uint32_t *)(void *)(base + header->index_offset),
                  (struct tl_entry *)(void *)(base + header->entries_offset), (char *)(base + header->names_offset));
    if (named != TL_OK) {
        return named;
    }
    for (uint32_t tag = 0; tag < plan->tag_count; tag++) {
        atomic_init(&image->slots[tag].status[0], TL_STATUS_WAITING);
        atomic_init(&image->slots[tag].status[1], TL_STATUS_WAITING);
    }
    const uint64_t record_capacity = power_of_two(plan->journal_records);
    const uint64_t text_capacity = power_of_two(plan->text_bytes);
    uint64_t offset = aligned(header->lanes_offset + plan->owner_count * sizeof(struct tl_lane));
    for (uint32_t owner = 0; owner < plan->owner_count; owner++) {
        struct tl_lane *lane = &image->lanes[owner];
        memcpy(lane->name, plan->owner_names[owner], strlen(plan->owner_names[owner]));
        lane->record_capacity = record_capacity;
        lane->text_capacity = text_capacity;
        lane->records_offset = offset;
        offset += record_capacity * sizeof(struct tl_sample);
        lane->text_offset = offset;
        offset += text_capacity;
    }
    header->magic = TL_MAGIC;
    return TL_OK;
}

static bool inside(uint64_t offset, uint64_t count, uint64_t each, uint64_t limit)
{
    return offset <= limit && count <= (limit - offset) / each;
}

static bool is_power_of_two(uint64_t number)
{
    return number != 0 && (number & (number - 1u)) == 0;
}

enum tl_result tl_image_open(void *memory, size_t bytes, struct tl_image *image)
{
    const struct tl_header *header = memory;
    if (bytes < sizeof *header || ((uintptr_t)memory & 63u) != 0) {
        return TL_ERROR_MEMORY;
    }
    const uint64_t limit = header->bytes;
    if (header->magic != TL_MAGIC || header->version != TL_VERSION || limit > bytes || header->tag_count == 0 ||
        header->tag_count > TL_MAX_TAGS || header->owner_count == 0 || header->owner_count > TL_MAX_OWNERS ||
        !is_power_of_two(header->index_entries) || header->index_entries <= header->tag_count ||
        !inside(header->slots_offset, header->tag_count, sizeof(struct tl_slot), limit) ||
        !inside(header->entries_offset, header->tag_count, sizeof(struct tl_entry), limit) ||
        !inside(header->types_offset, header->tag_count, 1, limit) ||
        !inside(header->owners_offset, header->tag_count, sizeof(uint16_t), limit) ||
        !inside(header->index_offset, header->index_entries, sizeof(uint32_t), limit) ||
        header->names_offset > limit || header->texts_offset > limit ||
        !inside(header->lanes_offset, header->owner_count, sizeof(struct tl_lane), limit)) {
        return TL_ERROR_FORMAT;
    }
    view(memory, image);
    for (uint32_t owner = 0; owner < header->owner_count; owner++) {
        const struct tl_lane *lane = &image->lanes[owner];
        if (!is_power_of_two(lane->record_capacity) || !is_power_of_two(lane->text_capacity) ||
            lane->name[TL_MAX_OWNER_NAME] != '\0' ||
            !inside(lane->records_offset, lane->record_capacity, sizeof(struct tl_sample), limit) ||
            !inside(lane->text_offset, lane->text_capacity, 1, limit)) {
            return TL_ERROR_FORMAT;
        }
    }
    return TL_OK;
}

uint32_t tl_image_find(const struct tl_image *image, const char *name, size_t name_bytes)
{
    const uint32_t mask = image->header->index_entries - 1u;
    uint32_t at = (uint32_t)hash_of(name, name_bytes) & mask;
    /* The index has more places than tags, so an empty one ends every search. */
    for (uint32_t looked = 0; looked <= mask && image->index[at] != 0; looked++) {
        const uint32_t tag = image->index[at] - 1u;
        const struct tl_entry *entry = &image->entries[tag];
        if (entry->name_bytes == name_bytes && memcmp(image->names + entry->name_offset, name, name_bytes) == 0) {
            return tag;
        }
        at = (at + 1u) & mask;
    }
    return TL_NO_TAG;
}
