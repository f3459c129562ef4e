/* base/clock.c: what is added to the kernel's clock. */
#include "base/clock.h"

_Atomic int64_t clock_added_ns;
