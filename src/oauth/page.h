/* oauth/page.h: what all pages have in common: the document around the content, the style sheet, the headers. A page
 * needs no script to work, and loads nothing but, perhaps, a client's logo. */
#ifndef OAUTH_PAGE_H
#define OAUTH_PAGE_H

#include "oauth/content_policy.h"
#include "oauth/page_texts.h"

struct response;

struct page {
    struct response *response;
    struct arena *arena;
    struct buf *out; /* the response's body */
    const struct page_texts *texts;
    struct content_policy policy; /* for the page to fill before page_end(), except for the nonce */
};

/* Begins the response's body: everything up to the content of <main>, of which the title is the first heading too.
 * `is_error`: the title that the browser shows says so. */
void page_begin(struct page *page, struct response *response, struct arena *arena, struct str ui_locales,
                const char *title, bool is_error);
/* Ends it, and gives the response its headers: type, policy, no framing, no referrer, no sniffing, no keeping. */
void page_end(struct page *page);

/* Markup of ours, as it is. Text of anybody's, escaped. */
void page_add(struct page *page, const char *markup);
void page_add_text(struct page *page, struct str text);
/* A text of ours with a name in the place of "{}", which is set apart so that letters that run from right to left don't
 * rearrange what is around it. */
void page_add_phrase(struct page *page, const char *phrase, struct str name);
/* `<input type="hidden">`. */
void page_add_hidden(struct page *page, struct str name, struct str value);
/* A script of ours, which runs. */
void page_add_script(struct page *page, const char *script);

#endif
