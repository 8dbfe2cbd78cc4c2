/* Values of tags and of a program's variables, one into the other. */
#ifndef TIELINE_VALUE_H
#define TIELINE_VALUE_H

#include "image.h"
#include "program.h"

/* Bytes of a variable of a kind; 0 for strings and what is no kind. */
uint32_t tl_kind_bytes(uint8_t kind);

/* Put a tag's value (raw bits of its type) into a variable; false, and nothing written, where it does not fit. Real
 * to integer rounds to nearest, ties to even. */
bool tl_value_store(unsigned char *at, uint8_t kind, uint64_t bits, uint8_t type);

/* A variable's value as the raw bits of a tag's type, rounded and clamped to its range; false for NaN, which is no
 * value. */
bool tl_value_load(const unsigned char *at, uint8_t kind, uint8_t type, uint64_t *value);

#endif
