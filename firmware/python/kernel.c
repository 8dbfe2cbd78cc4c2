/* The extension `gateway.tags._kernel`: regions for Python, by buffers (numpy arrays) in and out.
 *
 * It checks sizes, kinds and life; what may go wrong in meaning is checked by the image. The GIL is held but for
 * `wait`, so that two threads of a process never write at once and a region is never unmapped under a reader.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "image.h"
#include "segment.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static PyObject *kernel_error;

typedef struct {
    PyObject_HEAD struct tl_segment segment;
    bool is_open;
    unsigned waiting; /* threads inside `wait`: the last one out unmaps a region closed meanwhile */
    unsigned char claims[TL_MAX_OWNERS];
} Region;

static PyObject *fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(kernel_error, format, arguments);
    va_end(arguments);
    return NULL;
}

static PyObject *fail_image(enum tl_result result, long long row)
{
    static const char *const reason[] = {
        [TL_OK] = "ok",
        [TL_ERROR_ARGUMENT] = "a count, size, type or name is out of its limits",
        [TL_ERROR_MEMORY] = "the block of memory is too small or badly aligned",
        [TL_ERROR_FORMAT] = "no region of this version",
        [TL_ERROR_DUPLICATE] = "two tags have one name",
        [TL_ERROR_NO_TAG] = "tag index past the table",
        [TL_ERROR_OWNER] = "tag belongs to another owner",
        [TL_ERROR_TYPE] = "a number was written to a string tag, or a string to a number tag",
        [TL_ERROR_TEXT] = "string is longer than its tag's bound",
        [TL_ERROR_POSITION] = "journal position was never written (another region's?)",
    };
    return row < 0 ? fail("%s", reason[result]) : fail("row %lld: %s", row, reason[result]);
}

static PyObject *fail_segment(enum tl_segment_result result, const char *name, enum tl_result image_result, int error)
{
    switch (result) {
    case TL_SEGMENT_NAME:
        return fail("region name %s: expected 1..100 letters, digits, '_', '-' or '.'", name);
    case TL_SEGMENT_IN_USE:
        return fail("region %s is in use: its creator still runs", name);
    case TL_SEGMENT_ABSENT:
        return fail("no region %s: nothing runs under this name", name);
    case TL_SEGMENT_DEAD:
        return fail("region %s is stale: its creator is gone", name);
    case TL_SEGMENT_FULL:
        return fail("region %s does not fit into %s: fewer tags or journal records, or more shared memory", name,
                    TL_SEGMENT_FOLDER);
    case TL_SEGMENT_FORMAT:
        return fail_image(image_result, -1);
    case TL_SEGMENT_CLAIMED:
        return fail("owner is claimed by another writer of region %s", name);
    case TL_SEGMENT_SYSTEM:
    case TL_SEGMENT_OK:
        break;
    }
    return fail("region %s: %s", name, strerror(error));
}

static const char *name_of(const Region *self)
{
    return self->segment.path + strlen(TL_SEGMENT_FOLDER TL_SEGMENT_PREFIX);
}

static bool require_open(const Region *self)
{
    if (!self->is_open) {
        (void)fail("region %s is closed", name_of(self));
    }
    return self->is_open;
}

/* A contiguous array of `each`-byte items; its length through *count. */
static bool array(PyObject *object, size_t each, bool writable, Py_buffer *buffer, size_t *count, const char *what)
{
    if (PyObject_GetBuffer(object, buffer, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0) {
        return false;
    }
    if ((size_t)buffer->len % each != 0) {
        PyBuffer_Release(buffer);
        PyErr_Format(PyExc_ValueError, "%s: %zd bytes is no array of %zu-byte items", what, buffer->len, each);
        return false;
    }
    *count = (size_t)buffer->len / each;
    return true;
}

/* The same for one that must have `count` items. */
static bool array_of(PyObject *object, size_t each, bool writable, Py_buffer *buffer, size_t count, const char *what)
{
    size_t found;
    if (!array(object, each, writable, buffer, &found, what)) {
        return false;
    }
    if (found != count) {
        PyBuffer_Release(buffer);
        PyErr_Format(PyExc_ValueError, "%s: %zu items, expected %zu", what, found, count);
        return false;
    }
    return true;
}

/* A column of a batch: one item for all rows, or one a row. */
static bool column(PyObject *object, size_t each, Py_buffer *buffer, size_t rows, size_t *step, const char *what)
{
    size_t found;
    if (!array(object, each, false, buffer, &found, what)) {
        return false;
    }
    if (found != rows && found != 1) {
        PyBuffer_Release(buffer);
        PyErr_Format(PyExc_ValueError, "%s: %zu items, expected 1 or %zu", what, found, rows);
        return false;
    }
    *step = found == 1 ? 0 : 1;
    return true;
}

/* Pointers to the bytes objects of a sequence; the sequence keeps them alive. */
static const char **byte_strings(PyObject *sequence, uint16_t *lengths)
{
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
    const char **pointers = PyMem_Calloc((size_t)count + 1u, sizeof *pointers);
    if (pointers == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(sequence, i);
        if (!PyBytes_Check(item) || PyBytes_GET_SIZE(item) > UINT16_MAX) {
            PyErr_Format(PyExc_ValueError, "name %zd: expected bytes, at most %u of them", i, TL_MAX_NAME);
            PyMem_Free(pointers);
            return NULL;
        }
        pointers[i] = PyBytes_AS_STRING(item);
        if (lengths != NULL) {
            lengths[i] = (uint16_t)PyBytes_GET_SIZE(item);
        }
    }
    return pointers;
}

static PyTypeObject region_type;

static Region *new_region(void)
{
    Region *self = PyObject_New(Region, &region_type);
    if (self != NULL) {
        memset(&self->segment, 0, sizeof self->segment);
        self->segment.file = -1;
        self->is_open = false;
        self->waiting = 0;
        memset(self->claims, 0, sizeof self->claims);
    }
    return self;
}

static PyObject *create_planned(const char *name, const struct tl_plan *plan)
{
    Region *self = new_region();
    if (self == NULL) {
        return NULL;
    }
    enum tl_result image_result;
    int error;
    const enum tl_segment_result made = tl_segment_create(name, plan, &self->segment, &image_result, &error);
    if (made != TL_SEGMENT_OK) {
        Py_DECREF(self);
        return fail_segment(made, name, image_result, error);
    }
    self->is_open = true;
    return (PyObject *)self;
}

static PyObject *region_create(PyObject *unused, PyObject *arguments)
{
    (void)unused;
    const char *name;
    PyObject *names_object;
    PyObject *types_object;
    PyObject *owners_object;
    PyObject *string_object;
    PyObject *owner_names_object;
    unsigned long long journal_records;
    unsigned long long text_bytes;
    long long time_step_ns;
    if (!PyArg_ParseTuple(arguments, "sOOOOOKKL", &name, &names_object, &types_object, &owners_object, &string_object,
                          &owner_names_object, &journal_records, &text_bytes, &time_step_ns)) {
        return NULL;
    }
    PyObject *result = NULL;
    PyObject *names = PySequence_Fast(names_object, "names must be a sequence");
    PyObject *owner_names = names == NULL ? NULL : PySequence_Fast(owner_names_object, "owners must be a sequence");
    if (owner_names == NULL) {
        Py_XDECREF(names);
        return NULL;
    }
    const size_t count = (size_t)PySequence_Fast_GET_SIZE(names);
    uint16_t *lengths = PyMem_Calloc(count + 1u, sizeof *lengths);
    const char **name_list = lengths == NULL ? NULL : byte_strings(names, lengths);
    const char **owner_list = name_list == NULL ? NULL : byte_strings(owner_names, NULL);
    Py_buffer types = {0};
    Py_buffer owners = {0};
    Py_buffer strings = {0};
    struct timespec now;
    uint64_t instance;
    if (owner_list != NULL && array_of(types_object, 1, false, &types, count, "types") &&
        array_of(owners_object, sizeof(uint16_t), false, &owners, count, "owners") &&
        array_of(string_object, sizeof(uint32_t), false, &strings, count, "string_bytes")) {
        if (getrandom(&instance, sizeof instance, 0) != (ssize_t)sizeof instance) {
            (void)fail("no random numbers: %s", strerror(errno));
        } else {
            (void)clock_gettime(CLOCK_REALTIME, &now);
            const struct tl_plan plan = {
                .tag_count = count > TL_MAX_TAGS ? UINT32_MAX : (uint32_t)count,
                .owner_count = (uint32_t)PySequence_Fast_GET_SIZE(owner_names),
                .names = name_list,
                .name_bytes = lengths,
                .types = types.buf,
                .owners = owners.buf,
                .string_bytes = strings.buf,
                .owner_names = owner_list,
                .journal_records = journal_records,
                .text_bytes = text_bytes,
                .instance = instance >> 1, /* 63 bits: it goes through signed columns of databases */
                .created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
                .creator_pid = (uint64_t)getpid(),
                .time_step_ns = time_step_ns,
            };
            result = create_planned(name, &plan);
        }
    } else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    PyBuffer_Release(&types);
    PyBuffer_Release(&owners);
    PyBuffer_Release(&strings);
    PyMem_Free(owner_list);
    PyMem_Free(name_list);
    PyMem_Free(lengths);
    Py_DECREF(owner_names);
    Py_DECREF(names);
    return result;
}

static PyObject *region_attach(PyObject *unused, PyObject *arguments)
{
    (void)unused;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "s", &name)) {
        return NULL;
    }
    Region *self = new_region();
    if (self == NULL) {
        return NULL;
    }
    enum tl_result image_result;
    int error;
    const enum tl_segment_result found = tl_segment_attach(name, &self->segment, &image_result, &error);
    if (found != TL_SEGMENT_OK) {
        Py_DECREF(self);
        return fail_segment(found, name, image_result, error);
    }
    self->is_open = true;
    return (PyObject *)self;
}

static void close_region(Region *self)
{
    if (self->is_open) {
        self->is_open = false;
        if (self->waiting == 0) {
            tl_segment_close(&self->segment);
        } else {
            tl_segment_ring(&self->segment);
        }
    }
}

static PyObject *region_close(Region *self, PyObject *unused)
{
    (void)unused;
    close_region(self);
    Py_RETURN_NONE;
}

static void region_dealloc(Region *self)
{
    close_region(self);
    PyObject_Free(self);
}

static PyObject *region_find(Region *self, PyObject *arguments)
{
    const char *name;
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(arguments, "y#", &name, &bytes) || !require_open(self)) {
        return NULL;
    }
    const uint32_t tag = tl_image_find(&self->segment.image, name, (size_t)bytes);
    return PyLong_FromLong(tag == TL_NO_TAG ? -1L : (long)tag);
}

static PyObject *region_tag_name(Region *self, PyObject *arguments)
{
    Py_ssize_t tag;
    if (!PyArg_ParseTuple(arguments, "n", &tag) || !require_open(self)) {
        return NULL;
    }
    if (tag < 0 || (size_t)tag >= self->segment.image.header->tag_count) {
        return PyErr_Format(PyExc_IndexError, "tag %zd of %u", tag, self->segment.image.header->tag_count);
    }
    const struct tl_entry *entry = &self->segment.image.entries[tag];
    return PyBytes_FromStringAndSize(self->segment.image.names + entry->name_offset, entry->name_bytes);
}

static bool parse_owner(const Region *self, PyObject *object, uint32_t *owner)
{
    const long place = PyLong_AsLong(object);
    if (place == -1 && PyErr_Occurred()) {
        return false;
    }
    if (place < 0 || (unsigned long)place >= self->segment.image.header->owner_count) {
        PyErr_Format(PyExc_IndexError, "owner %ld of %u", place, self->segment.image.header->owner_count);
        return false;
    }
    *owner = (uint32_t)place;
    return true;
}

static PyObject *region_owner_name(Region *self, PyObject *place)
{
    uint32_t owner;
    if (!require_open(self) || !parse_owner(self, place, &owner)) {
        return NULL;
    }
    return PyBytes_FromString(self->segment.image.lanes[owner].name);
}

static PyObject *region_directory(Region *self, PyObject *arguments)
{
    PyObject *types_object;
    PyObject *owners_object;
    Py_buffer types;
    Py_buffer owners;
    if (!PyArg_ParseTuple(arguments, "OO", &types_object, &owners_object) || !require_open(self)) {
        return NULL;
    }
    const size_t count = self->segment.image.header->tag_count;
    if (!array_of(types_object, 1, true, &types, count, "types")) {
        return NULL;
    }
    if (!array_of(owners_object, sizeof(uint16_t), true, &owners, count, "owners")) {
        PyBuffer_Release(&types);
        return NULL;
    }
    memcpy(types.buf, self->segment.image.types, count);
    memcpy(owners.buf, self->segment.image.owners, count * sizeof(uint16_t));
    PyBuffer_Release(&types);
    PyBuffer_Release(&owners);
    Py_RETURN_NONE;
}

/* Tag indexes, or NULL for the whole table where the object is None. */
static bool tag_array(const Region *self, PyObject *object, Py_buffer *buffer, const uint32_t **tags, size_t *count)
{
    memset(buffer, 0, sizeof *buffer);
    if (object == Py_None) {
        *tags = NULL;
        *count = self->segment.image.header->tag_count;
        return true;
    }
    if (!array(object, sizeof(uint32_t), false, buffer, count, "tags")) {
        return false;
    }
    *tags = buffer->buf;
    return true;
}

static PyObject *region_read(Region *self, PyObject *arguments)
{
    PyObject *tags_object;
    PyObject *out_object;
    Py_buffer tags_buffer;
    Py_buffer out;
    const uint32_t *tags;
    size_t count;
    if (!PyArg_ParseTuple(arguments, "OO", &tags_object, &out_object) || !require_open(self) ||
        !tag_array(self, tags_object, &tags_buffer, &tags, &count)) {
        return NULL;
    }
    if (!array_of(out_object, sizeof(struct tl_sample), true, &out, count, "out")) {
        PyBuffer_Release(&tags_buffer);
        return NULL;
    }
    const enum tl_result result = tl_image_read(&self->segment.image, tags, count, out.buf);
    PyBuffer_Release(&tags_buffer);
    PyBuffer_Release(&out);
    if (result != TL_OK) {
        return fail_image(result, -1);
    }
    Py_RETURN_NONE;
}

static PyObject *region_read_texts(Region *self, PyObject *arguments)
{
    PyObject *tags_object;
    PyObject *out_object;
    Py_buffer tags;
    Py_buffer out;
    size_t count;
    if (!PyArg_ParseTuple(arguments, "OO", &tags_object, &out_object) || !require_open(self) ||
        !array(tags_object, sizeof(uint32_t), false, &tags, &count, "tags")) {
        return NULL;
    }
    if (!array_of(out_object, sizeof(struct tl_sample), true, &out, count, "out")) {
        PyBuffer_Release(&tags);
        return NULL;
    }
    PyObject *texts = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; texts != NULL && i < count; i++) {
        char text[TL_MAX_TEXT];
        size_t bytes = 0;
        struct tl_sample *row = (struct tl_sample *)out.buf + i;
        const enum tl_result result =
            tl_image_read_text(&self->segment.image, ((const uint32_t *)tags.buf)[i], row, text, &bytes);
        PyObject *item =
            result == TL_OK ? PyBytes_FromStringAndSize(text, (Py_ssize_t)bytes) : fail_image(result, (long long)i);
        if (item == NULL) {
            Py_CLEAR(texts);
        } else {
            PyList_SET_ITEM(texts, (Py_ssize_t)i, item);
        }
    }
    PyBuffer_Release(&tags);
    PyBuffer_Release(&out);
    return texts;
}

static PyObject *region_claim(Region *self, PyObject *place)
{
    uint32_t owner;
    int error;
    if (!require_open(self) || !parse_owner(self, place, &owner)) {
        return NULL;
    }
    if (self->claims[owner]) {
        return fail("owner %s is claimed already by this region object", self->segment.image.lanes[owner].name);
    }
    const enum tl_segment_result claimed = tl_segment_claim(&self->segment, owner, &error);
    if (claimed == TL_SEGMENT_CLAIMED) {
        return fail("owner %s of region %s is claimed by another writer", self->segment.image.lanes[owner].name,
                    name_of(self));
    }
    if (claimed != TL_SEGMENT_OK) {
        return fail_segment(claimed, name_of(self), TL_OK, error);
    }
    self->claims[owner] = 1;
    Py_RETURN_NONE;
}

static PyObject *region_release(Region *self, PyObject *place)
{
    uint32_t owner;
    if (!self->is_open) {
        Py_RETURN_NONE; /* closing has released it */
    }
    if (!parse_owner(self, place, &owner)) {
        return NULL;
    }
    if (self->claims[owner]) {
        self->claims[owner] = 0;
        tl_segment_release(&self->segment, owner);
    }
    Py_RETURN_NONE;
}

static bool require_claim(const Region *self, uint32_t owner)
{
    if (!self->claims[owner]) {
        (void)fail("owner %s is not claimed", self->segment.image.lanes[owner].name);
    }
    return self->claims[owner] != 0;
}

static PyObject *region_write(Region *self, PyObject *const *arguments, Py_ssize_t argument_count)
{
    uint32_t owner;
    Py_buffer buffers[5];
    struct tl_batch batch;
    if (argument_count != 6) {
        return PyErr_Format(PyExc_TypeError, "write takes 6 arguments, got %zd", argument_count);
    }
    if (!require_open(self) || !parse_owner(self, arguments[0], &owner) || !require_claim(self, owner) ||
        !array(arguments[1], sizeof(uint32_t), false, &buffers[0], &batch.count, "tags")) {
        return NULL;
    }
    static const char *const names[] = {"values", "status", "source_time", "receipt_time"};
    static const size_t sizes[] = {8, 4, 8, 8};
    size_t *const steps[] = {&batch.value_step, &batch.status_step, &batch.source_step, &batch.receipt_step};
    size_t held = 1;
    while (held < 5 && column(arguments[held + 1], sizes[held - 1], &buffers[held], batch.count, steps[held - 1],
                              names[held - 1])) {
        held++;
    }
    enum tl_result result = TL_ERROR_ARGUMENT;
    size_t bad_row = 0;
    if (held == 5) {
        batch.tags = buffers[0].buf;
        batch.values = buffers[1].buf;
        batch.statuses = buffers[2].buf;
        batch.source_times = buffers[3].buf;
        batch.receipt_times = buffers[4].buf;
        result = tl_image_write(&self->segment.image, owner, &batch, &bad_row);
    }
    for (size_t i = 0; i < held; i++) {
        PyBuffer_Release(&buffers[i]);
    }
    if (held != 5) {
        return NULL;
    }
    if (result != TL_OK) {
        return fail_image(result, (long long)bad_row);
    }
    if (batch.count != 0) {
        tl_segment_ring(&self->segment);
    }
    Py_RETURN_NONE;
}

/* Refuse the whole batch of strings before any is written. */
static bool check_texts(const Region *self, uint32_t owner, const uint32_t *tags, PyObject *texts, size_t count)
{
    const struct tl_image *image = &self->segment.image;
    for (size_t i = 0; i < count; i++) {
        PyObject *text = PySequence_Fast_GET_ITEM(texts, (Py_ssize_t)i);
        enum tl_result result = TL_OK;
        if (!PyBytes_Check(text)) {
            PyErr_Format(PyExc_TypeError, "text %zu: expected bytes", i);
            return false;
        }
        if (tags[i] >= image->header->tag_count) {
            result = TL_ERROR_NO_TAG;
        } else if (image->owners[tags[i]] != owner) {
            result = TL_ERROR_OWNER;
        } else if (image->types[tags[i]] != TL_STRING) {
            result = TL_ERROR_TYPE;
        } else if (PyBytes_GET_SIZE(text) > (Py_ssize_t)image->entries[tags[i]].string_bytes) {
            result = TL_ERROR_TEXT;
        }
        if (result != TL_OK) {
            (void)fail_image(result, (long long)i);
            return false;
        }
    }
    return true;
}

static PyObject *region_write_texts(Region *self, PyObject *arguments)
{
    PyObject *owner_object;
    PyObject *objects[5];
    uint32_t owner;
    if (!PyArg_ParseTuple(arguments, "OOOOOO", &owner_object, &objects[0], &objects[1], &objects[2], &objects[3],
                          &objects[4]) ||
        !require_open(self) || !parse_owner(self, owner_object, &owner) || !require_claim(self, owner)) {
        return NULL;
    }
    PyObject *texts = PySequence_Fast(objects[1], "texts must be a sequence");
    if (texts == NULL) {
        return NULL;
    }
    const size_t count = (size_t)PySequence_Fast_GET_SIZE(texts);
    Py_buffer tags = {0};
    Py_buffer statuses = {0};
    Py_buffer sources = {0};
    Py_buffer receipts = {0};
    size_t status_step;
    size_t source_step;
    size_t receipt_step;
    bool is_written = false;
    if (array_of(objects[0], sizeof(uint32_t), false, &tags, count, "tags") &&
        column(objects[2], sizeof(uint32_t), &statuses, count, &status_step, "status") &&
        column(objects[3], sizeof(int64_t), &sources, count, &source_step, "source_time") &&
        column(objects[4], sizeof(int64_t), &receipts, count, &receipt_step, "receipt_time") &&
        check_texts(self, owner, tags.buf, texts, count)) {
        for (size_t i = 0; i < count; i++) {
            PyObject *text = PySequence_Fast_GET_ITEM(texts, (Py_ssize_t)i);
            (void)tl_image_write_text(
                &self->segment.image, owner, ((const uint32_t *)tags.buf)[i], PyBytes_AS_STRING(text),
                (size_t)PyBytes_GET_SIZE(text), ((const uint32_t *)statuses.buf)[i * status_step],
                ((const int64_t *)sources.buf)[i * source_step], ((const int64_t *)receipts.buf)[i * receipt_step]);
        }
        is_written = true;
    }
    PyBuffer_Release(&tags);
    PyBuffer_Release(&statuses);
    PyBuffer_Release(&sources);
    PyBuffer_Release(&receipts);
    Py_DECREF(texts);
    if (!is_written) {
        return NULL;
    }
    if (count != 0) {
        tl_segment_ring(&self->segment);
    }
    Py_RETURN_NONE;
}

static PyObject *region_invalidate(Region *self, PyObject *arguments)
{
    PyObject *owner_object;
    PyObject *tags_object;
    unsigned int status;
    long long receipt_time;
    uint32_t owner;
    Py_buffer buffer;
    const uint32_t *tags;
    size_t count;
    if (!PyArg_ParseTuple(arguments, "OOIL", &owner_object, &tags_object, &status, &receipt_time) ||
        !require_open(self) || !parse_owner(self, owner_object, &owner) || !require_claim(self, owner) ||
        !tag_array(self, tags_object, &buffer, &tags, &count)) {
        return NULL;
    }
    const struct tl_image *image = &self->segment.image;
    enum tl_result result = TL_OK;
    size_t row = 0;
    for (size_t i = 0; tags != NULL && i < count && result == TL_OK; i++) {
        row = i;
        if (tags[i] >= image->header->tag_count) {
            result = TL_ERROR_NO_TAG;
        } else if (image->owners[tags[i]] != owner) {
            result = TL_ERROR_OWNER;
        }
    }
    for (size_t i = 0; i < count && result == TL_OK; i++) {
        const uint32_t tag = tags == NULL ? (uint32_t)i : tags[i];
        if (image->owners[tag] == owner) {
            result = tl_image_invalidate(image, owner, tag, status, receipt_time);
        }
    }
    PyBuffer_Release(&buffer);
    if (result != TL_OK) {
        return fail_image(result, (long long)row);
    }
    tl_segment_ring(&self->segment);
    Py_RETURN_NONE;
}

static PyObject *region_bounds(Region *self, PyObject *place)
{
    uint32_t owner;
    uint64_t oldest;
    uint64_t end;
    if (!require_open(self) || !parse_owner(self, place, &owner)) {
        return NULL;
    }
    tl_journal_bounds(&self->segment.image, owner, &oldest, &end);
    return Py_BuildValue("KK", (unsigned long long)oldest, (unsigned long long)end);
}

static PyObject *region_take(Region *self, PyObject *arguments)
{
    PyObject *owner_object;
    PyObject *out_object;
    unsigned long long position;
    uint32_t owner;
    Py_buffer out;
    size_t limit;
    if (!PyArg_ParseTuple(arguments, "OKO", &owner_object, &position, &out_object) || !require_open(self) ||
        !parse_owner(self, owner_object, &owner) ||
        !array(out_object, sizeof(struct tl_sample), true, &out, &limit, "out")) {
        return NULL;
    }
    uint64_t cursor = position;
    size_t count;
    uint64_t lost;
    const enum tl_result result =
        tl_journal_take(&self->segment.image, owner, &cursor, out.buf, limit, &count, &lost);
    PyBuffer_Release(&out);
    if (result != TL_OK) {
        return fail_image(result, -1);
    }
    return Py_BuildValue("nKK", (Py_ssize_t)count, (unsigned long long)cursor, (unsigned long long)lost);
}

static PyObject *region_text_of(Region *self, PyObject *arguments)
{
    PyObject *owner_object;
    unsigned long long reference;
    uint32_t owner;
    char text[TL_MAX_TEXT];
    size_t bytes;
    if (!PyArg_ParseTuple(arguments, "OK", &owner_object, &reference) || !require_open(self) ||
        !parse_owner(self, owner_object, &owner)) {
        return NULL;
    }
    if (!tl_journal_text(&self->segment.image, owner, reference, text, &bytes)) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize(text, (Py_ssize_t)bytes);
}

static PyObject *region_bell(Region *self, PyObject *unused)
{
    (void)unused;
    if (!require_open(self)) {
        return NULL;
    }
    return PyLong_FromUnsignedLong(atomic_load_explicit(&self->segment.image.header->bell, memory_order_acquire));
}

static PyObject *region_wait(Region *self, PyObject *arguments)
{
    unsigned int seen;
    long long timeout_ns;
    long long poll_ns;
    uint32_t bell;
    if (!PyArg_ParseTuple(arguments, "ILL", &seen, &timeout_ns, &poll_ns) || !require_open(self)) {
        return NULL;
    }
    self->waiting++;
    Py_BEGIN_ALLOW_THREADS bell = tl_segment_wait(&self->segment, seen, timeout_ns, poll_ns);
    Py_END_ALLOW_THREADS self->waiting--;
    if (!self->is_open && self->waiting == 0) {
        tl_segment_close(&self->segment);
    }
    if (PyErr_CheckSignals() != 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLong(bell);
}

static PyObject *get_name(Region *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(name_of(self));
}

static PyObject *get_number(Region *self, void *which)
{
    if (!require_open(self)) {
        return NULL;
    }
    const struct tl_header *header = self->segment.image.header;
    const uint64_t numbers[] = {header->instance, header->tag_count, header->owner_count};
    return PyLong_FromUnsignedLongLong(numbers[(uintptr_t)which]);
}

static PyObject *get_is_creator(Region *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->segment.is_creator);
}

static PyGetSetDef region_fields[] = {
    {"name", (getter)get_name, NULL, NULL, NULL},
    {"instance", (getter)get_number, NULL, NULL, (void *)0},
    {"tag_count", (getter)get_number, NULL, NULL, (void *)1},
    {"owner_count", (getter)get_number, NULL, NULL, (void *)2},
    {"is_creator", (getter)get_is_creator, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define METHOD(name, flags) {#name, (PyCFunction)(void (*)(void))region_##name, flags, NULL}

static PyMethodDef region_methods[] = {
    METHOD(create, METH_VARARGS | METH_STATIC),
    METHOD(attach, METH_VARARGS | METH_STATIC),
    METHOD(close, METH_NOARGS),
    METHOD(find, METH_VARARGS),
    METHOD(tag_name, METH_VARARGS),
    METHOD(owner_name, METH_O),
    METHOD(directory, METH_VARARGS),
    METHOD(read, METH_VARARGS),
    METHOD(read_texts, METH_VARARGS),
    METHOD(claim, METH_O),
    METHOD(release, METH_O),
    METHOD(write, METH_FASTCALL),
    METHOD(write_texts, METH_VARARGS),
    METHOD(invalidate, METH_VARARGS),
    METHOD(bounds, METH_O),
    METHOD(take, METH_VARARGS),
    METHOD(text_of, METH_VARARGS),
    METHOD(bell, METH_NOARGS),
    METHOD(wait, METH_VARARGS),
    {NULL, NULL, 0, NULL},
};

static PyTypeObject region_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway.tags._kernel.Region",
    .tp_basicsize = sizeof(Region),
    .tp_dealloc = (destructor)region_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = region_methods,
    .tp_getset = region_fields,
};

static PyObject *kernel_state_of(PyObject *unused, PyObject *arguments)
{
    (void)unused;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "s", &name)) {
        return NULL;
    }
    return PyLong_FromLong((long)tl_segment_presence(name));
}

static PyObject *kernel_unlink_if_stale(PyObject *unused, PyObject *arguments)
{
    (void)unused;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "s", &name)) {
        return NULL;
    }
    return PyBool_FromLong(tl_segment_remove_stale(name));
}

static PyMethodDef kernel_functions[] = {
    {"state_of", kernel_state_of, METH_VARARGS, NULL},
    {"unlink_if_stale", kernel_unlink_if_stale, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef kernel_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gateway.tags._kernel",
    .m_size = -1,
    .m_methods = kernel_functions,
};

PyMODINIT_FUNC PyInit__kernel(void);

PyMODINIT_FUNC PyInit__kernel(void)
{
    if (PyType_Ready(&region_type) < 0) {
        return NULL;
    }
    PyObject *module = PyModule_Create(&kernel_module);
    if (module == NULL) {
        return NULL;
    }
    kernel_error = PyErr_NewException("gateway.tags._kernel.KernelError", NULL, NULL);
    if (kernel_error == NULL || PyModule_AddObjectRef(module, "KernelError", kernel_error) < 0 ||
        PyModule_AddObjectRef(module, "Region", (PyObject *)&region_type) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
