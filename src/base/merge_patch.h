/* base/merge_patch.h: JSON Merge Patch (RFC 7396): members that are named take another value, those that are null go,
 * and the rest stays. */
#ifndef BASE_MERGE_PATCH_H
#define BASE_MERGE_PATCH_H

#include "base/json.h"

/* Appends to `out` what becomes of `target` (NULL: there is nothing yet) by `patch`, compact: section 2. Members that
 * are new come last. Deep as the two are, at most JSON_DEPTH_MAX. Fuzzed: tests/fuzz/client_metadata.c. */
void merge_patch_write(struct buf *out, const struct json *target, const struct json *patch);

#endif
