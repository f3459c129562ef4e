/* oauth/html.h: text into HTML, by one function for every place where it may stand: between tags, and in an attribute's
 * value between double or single quotes. There is no template engine: a page is markup of ours (buf_add) and text of
 * others' (html_add), and nothing of others' is written in any other way. */
#ifndef OAUTH_HTML_H
#define OAUTH_HTML_H

#include "base/mem.h"

/* Appends a text that shows as itself. & < > " ' and ` become references. What is no character of a text becomes
 * U+FFFD: each byte that is not UTF-8, control characters but tab and line feed, noncharacters. */
void html_add(struct buf *out, struct str text);

/* Whether a URL may stand in a link: http or https, and only visible ASCII. A link to javascript: would run it. */
bool html_url_is_fit(struct str url);

#endif
