#include "checks.h"

_Noreturn void tl_fault_at(struct tl_scan *scan, enum tl_fault fault, uint32_t at)
{
    tl_raise(scan, fault, at >> TL_AT_LINE_BITS, at & ((1u << TL_AT_LINE_BITS) - 1u));
}
