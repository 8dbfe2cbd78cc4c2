/* The extension `historian.forecast._features`: vectors of features by buffers (numpy arrays) in and out.
 *
 * It checks sizes, kinds and bounds; what features there are and on which grid is Python's.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "feature_vectors.h"

#include <stdbool.h>

typedef struct {
    PyObject_HEAD struct tl_features features;
} Features;

static bool get(PyObject *from, Py_buffer *view, const char *kind, Py_ssize_t item_bytes, int dimensions, int flags)
{
    if (PyObject_GetBuffer(from, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0) {
        return false;
    }
    if (view->ndim == dimensions && view->itemsize == item_bytes && view->format != NULL && view->format[0] != '\0' &&
        view->format[1] == '\0' && strchr(kind, view->format[0]) != NULL) {
        return true;
    }
    PyErr_Format(PyExc_TypeError, "expected %d dimensions of items of %zd bytes, kind %s; found %d of %zd, kind %s",
                 dimensions, item_bytes, kind, view->ndim, view->itemsize, view->format);
    PyBuffer_Release(view);
    return false;
}

/* A copy of a buffer of uint32; each below `limit`. */
static bool copy_counts(PyObject *from, const char *what, uint32_t least, uint32_t limit, const uint32_t **to,
                        uint32_t *count)
{
    Py_buffer view;
    if (!get(from, &view, "IL", sizeof(uint32_t), 1, 0)) {
        return false;
    }
    const size_t found = (size_t)view.len / sizeof(uint32_t);
    uint32_t *copy = PyMem_Malloc(found == 0 ? 1 : (size_t)view.len);
    if (copy == NULL) {
        PyErr_NoMemory();
    } else {
        memcpy(copy, view.buf, (size_t)view.len);
        for (size_t i = 0; i < found; i++) {
            if (copy[i] < least || copy[i] >= limit) {
                PyErr_Format(PyExc_ValueError, "%s %zu is %u; expected %u to %u", what, i, copy[i], least,
                             limit - 1u);
                PyMem_Free(copy);
                copy = NULL;
                break;
            }
        }
    }
    PyBuffer_Release(&view);
    *to = copy;
    *count = (uint32_t)found;
    return copy != NULL;
}

static void features_dealloc(Features *self)
{
    PyMem_Free((void *)self->features.lags);
    PyMem_Free((void *)self->features.windows);
    PyMem_Free((void *)self->features.sources);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *features_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    static char *names[] = {"signals",     "lags",   "windows", "least_present", "load", "sources",
                            "slope_steps", "step_h", NULL};
    PyObject *lags, *windows, *sources;
    struct tl_features given = {0};
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "$IOOdIOId", names, &given.signals, &lags, &windows,
                                     &given.least_present, &given.load, &sources, &given.slope_steps,
                                     &given.step_h)) {
        return NULL;
    }
    Features *self = (Features *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->features = given;
    struct tl_features *features = &self->features;
    if (!copy_counts(lags, "lag", 1u, UINT32_MAX, &features->lags, &features->lag_count) ||
        !copy_counts(windows, "window", 2u, UINT32_MAX, &features->windows, &features->window_count) ||
        !copy_counts(sources, "source", 0u, given.signals, &features->sources, &features->source_count)) {
        Py_DECREF(self);
        return NULL;
    }
    if (given.signals == 0 || given.load >= given.signals || given.slope_steps < 2u ||
        given.slope_steps > TL_FEATURES_MAX_SLOPE_STEPS) {
        PyErr_Format(PyExc_ValueError,
                     "%u signals, load %u, slope of %u steps: expected signals, one of them, 2 to %u", given.signals,
                     given.load, given.slope_steps, TL_FEATURES_MAX_SLOPE_STEPS);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* What was asked for fits: every vector looks at rows of `grid`, and has its row in `out`. */
static bool fits(const struct tl_features *features, const Py_buffer *grid, const Py_buffer *newest,
                 const Py_buffer *out)
{
    const size_t width = tl_features_width(features) + (features->source_count != 0 ? TL_FEATURES_NET_LOAD : 0u);
    if ((size_t)grid->shape[1] != features->signals || out->shape[0] != newest->shape[0] ||
        (size_t)out->shape[1] < width) {
        PyErr_Format(PyExc_ValueError,
                     "%zd signals, %zd vectors, out (%zd, %zd): expected %u signals, at least %zu wide",
                     grid->shape[1], newest->shape[0], out->shape[0], out->shape[1], features->signals, width);
        return false;
    }
    const int64_t *rows = newest->buf;
    const int64_t first = (int64_t)tl_features_reach(features) - 1;
    for (Py_ssize_t i = 0; i < newest->shape[0]; i++) {
        if (rows[i] < first || rows[i] >= grid->shape[0]) {
            PyErr_Format(PyExc_IndexError,
                         "vector %zd at row %lld: there are %zd, and the first with all before it is %lld", i,
                         (long long)rows[i], grid->shape[0], (long long)first);
            return false;
        }
    }
    return true;
}

/* compute(grid, newest, out): windows first in each row of `out`, the net load last. */
static PyObject *features_compute(Features *self, PyObject *const *arguments, Py_ssize_t count)
{
    const struct tl_features *features = &self->features;
    Py_buffer grid, newest, out;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "compute takes grid, newest, out");
        return NULL;
    }
    if (!get(arguments[0], &grid, "d", sizeof(double), 2, 0)) {
        return NULL;
    }
    if (!get(arguments[1], &newest, "lq", sizeof(int64_t), 1, 0)) {
        PyBuffer_Release(&grid);
        return NULL;
    }
    bool done = get(arguments[2], &out, "d", sizeof(double), 2, PyBUF_WRITABLE);
    if (done) {
        done = fits(features, &grid, &newest, &out);
        if (done) {
            const int64_t *rows = newest.buf;
            const size_t width = (size_t)out.shape[1];
            Py_BEGIN_ALLOW_THREADS for (Py_ssize_t i = 0; i < newest.shape[0]; i++)
            {
                const double *row = (const double *)grid.buf + (size_t)rows[i] * features->signals;
                double *to = (double *)out.buf + (size_t)i * width;
                tl_features_windows(features, row, to);
                if (features->source_count != 0) {
                    tl_features_net_load(features, row, to + width - TL_FEATURES_NET_LOAD);
                }
            }
            Py_END_ALLOW_THREADS
        }
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&newest);
    PyBuffer_Release(&grid);
    if (!done) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef features_methods[] = {
    {"compute", (PyCFunction)features_compute, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject features_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "historian.forecast._features.Features",
    .tp_basicsize = sizeof(Features),
    .tp_dealloc = (destructor)features_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = features_new,
    .tp_methods = features_methods,
};

static struct PyModuleDef features_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "historian.forecast._features",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__features(void);

PyMODINIT_FUNC PyInit__features(void)
{
    if (PyType_Ready(&features_type) < 0) {
        return NULL;
    }
    PyObject *module = PyModule_Create(&features_module);
    if (module != NULL && PyModule_AddObjectRef(module, "Features", (PyObject *)&features_type) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
