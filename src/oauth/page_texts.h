/* oauth/page_texts.h: all words of the pages, in one struct, so that another language is one more of them. "{}" is
 * where a name goes; a text without it takes none. */
#ifndef OAUTH_PAGE_TEXTS_H
#define OAUTH_PAGE_TEXTS_H

#include "base/mem.h"

enum { PAGE_SCOPES = 6 };

struct page_texts {
    const char *lang; /* BCP 47 */
    const char *continue_to, *error_prefix, *policy, *terms;
    const char *login_title, *username, *password, *login, *cancel;
    const char *login_wrong, *login_limited, *login_busy, *login_stale;
    const char *consent_title, *consent_wants, *signed_in_as, *remember, *allow, *deny;
    struct {
        struct str scope;
        const char *means;
    } scopes[PAGE_SCOPES];
    const char *error_title, *error_about, *error_advice;
    const char *logout_title, *logout_about, *logout, *stay;
    const char *signed_out_title, *signed_out_about;
    const char *posting_title, *posting_about, *posting;
};

/* The texts in the first language of `ui_locales` (a space-separated list, OpenID Connect Core section 3.1.2.1; "" says
 * nothing) that there is. For now there is only English. */
const struct page_texts *page_texts_for(struct str ui_locales);

/* What a scope lets a client do, in plain words; NULL: there are none for it, and its name has to do. */
const char *page_texts_scope(const struct page_texts *texts, struct str scope);

#endif
