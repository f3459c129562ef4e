/* oauth/consent.h: what users have allowed clients before (the platform's oauth_consent_records), so that they are not
 * asked each time. */
#ifndef OAUTH_CONSENT_H
#define OAUTH_CONSENT_H

#include "store/store.h"

enum { CONSENT_LASTS_S = 365 * 24 * 3600 };

/* Views. */
struct consent {
    struct item item;   /* as it was read; version 0: there is none */
    struct str scope;   /* "" : nothing */
    int64_t expires_at; /* 0: nothing is allowed, and there may have been a consent that is over */
};

/* What the user has allowed the client; nothing, when that is over. ERR_UNAVAILABLE. */
MUST_USE struct err consent_find(struct store *store, struct arena *arena, struct str subject, struct str client_id,
                                 int64_t now_s, struct consent *out);
/* Whether all words of `scope` are allowed. */
bool consent_covers(const struct consent *consent, struct str scope);
/* Remembers that the user allows these words too, for `lasts_s`; the record, in front of *records. ERR_TOO_LARGE. */
MUST_USE struct err consent_extend(struct arena *arena, const struct consent *consent, struct str scope, int64_t now_s,
                                   int64_t lasts_s, struct record **records);

#endif
