/* fuzz/https_url.c: a URL that is taken means to libcurl, which calls it, what it means to us: scheme, host and port
 * are the same, and there is no user, password, zone or fragment. And put together from its parts it is the same URL.
 */
#include "fuzz.h"
#include "wire/https_url.h"
#include <curl/curl.h>

static struct str part_of(struct arena *arena, CURLU *url, CURLUPart part)
{
    char *text = NULL;
    struct str copy = { 0, 0 };
    if (curl_url_get(url, part, &text, 0) == CURLUE_OK)
        copy = arena_copy(arena, str_of(text));
    curl_free(text);
    return copy;
}

static void check_with_curl(struct arena *arena, struct str text, const struct https_url *url)
{
    static const CURLUPart absent[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_FRAGMENT,
                                        CURLUPART_ZONEID };
    CURLU *theirs = curl_url();
    PROMISE(theirs && curl_url_set(theirs, CURLUPART_URL, arena_copy(arena, text).at, 0) == CURLUE_OK);
    PROMISE(str_eq(part_of(arena, theirs, CURLUPART_SCHEME), STR("https")));
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        PROMISE(!part_of(arena, theirs, absent[i]).at);
    struct str host = part_of(arena, theirs, CURLUPART_HOST), port = part_of(arena, theirs, CURLUPART_PORT);
    if (host.len > 1 && host.at[0] == '[') {
        struct address same;
        PROMISE(url->is_address && address_read((struct str){ host.at + 1, host.len - 2 }, &same));
        PROMISE(memcmp(&same, &url->address, sizeof same) == 0);
    } else {
        PROMISE(str_eq_nocase(host, url->host));
    }
    PROMISE(str_eq(port.at ? port : STR("443"), arena_printf(arena, "%d", url->port)));
    curl_url_cleanup(theirs);
}

static void check_parts(struct arena *arena, struct str text, const struct https_url *url)
{
    struct https_url again;
    const bool is_v6 = str_has(url->host, ':');
    const struct str whole = arena_printf(arena, "https://%s%.*s%s:%d%.*s", is_v6 ? "[" : "", (int)url->host.len,
                                          url->host.at, is_v6 ? "]" : "", url->port, (int)url->target.len,
                                          url->target.len > 0 ? url->target.at : "");
    PROMISE(url->port >= 1 && url->port <= 65535 && url->host.len > 0 && !str_has(url->host, '@'));
    PROMISE(url->target.len == 0 || url->target.at[0] == '/' || url->target.at[0] == '?');
    PROMISE(url->target.len == 0 || url->target.at + url->target.len == text.at + text.len);
    if (whole.len > HTTPS_URL_MAX) /* the port may be new in it */
        return;
    PROMISE(!https_url_read(whole, &again));
    PROMISE(str_eq(again.host, url->host) && again.port == url->port && str_eq(again.target, url->target));
    PROMISE(again.is_address == url->is_address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct https_url url;
    const struct str text = input_of(data, size);
    arena_init(&arena, NULL, 0);
    if (!https_url_read(text, &url)) {
        check_with_curl(&arena, text, &url);
        check_parts(&arena, text, &url);
    }
    arena_release(&arena);
    return 0;
}
