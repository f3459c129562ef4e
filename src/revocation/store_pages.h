/* revocation/store_pages.h: the store's revocations behind a position, page after page. */
#ifndef REVOCATION_STORE_PAGES_H
#define REVOCATION_STORE_PAGES_H

#include "store/store.h"

struct store_pages {
    struct store *store;
    struct sequence sequence; /* that all pages must be of; epoch 0: whichever the first one is of */
    /* What is done with a page. */
    struct err (*take)(void *context, struct arena *, const struct revocation *found, size_t count);
    void *context;
    bool in_parts; /* take() may be called by several threads at once, and in any order: then many are read so */
};

/* Page after page behind *position, which goes on, until there are no more: all up to there have been taken, also when
 * it fails. ERR_CONFLICT: the positions started over. */
MUST_USE struct err store_pages_read(struct store_pages *pages, size_t batch, int64_t *position);

/* Whether what was read is of the sequence that is known, or none was known; then that goes on. */
MUST_USE bool sequence_goes_on(struct sequence *known, const struct sequence *read);

#endif
