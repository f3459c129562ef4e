/* fuzz/credentials.c: what hands out credentials answers JSON or XML: what is found lies within it. And an URL that a
 * container may ask over plain HTTP has a host of its own machine, as libcurl reads the URL. */
#include "fuzz.h"
#include "aws/credentials_source.h"

static bool is_within(struct str part, struct str whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void check_xml(struct str text)
{
    struct credentials_found found = { 0 };
    struct str element;
    if (credentials_find_element(text, "Code", &element))
        PROMISE(is_within(element, text) && !str_has(element, '<') && !str_has(element, '&'));
    if (credentials_read_xml(text, &found).code)
        return;
    PROMISE(is_within(found.access_key, text) && is_within(found.secret_key, text) && is_within(found.token, text));
    PROMISE(found.access_key.len > 0 && found.secret_key.len > 0 && found.expires_s >= 0);
}

static void check_json(struct arena *arena, struct str text)
{
    struct credentials_found found = { 0 };
    struct err err = credentials_read_json(arena, text, &found);
    PROMISE(!err.code || err.code == ERR_UNAVAILABLE);
    PROMISE(err.code || (found.access_key.len > 0 && found.secret_key.len > 0 && found.expires_s >= 0));
}

/* After http://, one of our own hosts, and then the end, a port or a path. */
static void check_url(struct str url)
{
    static const char *const hosts[] = { "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };
    if (!credentials_may_ask(url) || str_has_prefix(url, STR("https://")))
        return;
    PROMISE(str_has_prefix(url, STR("http://")));
    struct str rest = { url.at + 7, url.len - 7 };
    bool is_own = str_has_prefix(rest, STR("127."));
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        const size_t len = strlen(hosts[i]);
        is_own = is_own || (str_has_prefix(rest, str_of(hosts[i])) &&
                            (rest.len == len || rest.at[len] == ':' || rest.at[len] == '/'));
    }
    PROMISE(is_own);
    for (size_t i = 0; i < rest.len && rest.at[i] != '/'; i++)
        PROMISE(!strchr("@\\?# \t\r\n", rest.at[i]) || rest.at[i] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = input_of(data, size);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    check_xml(text);
    check_json(&arena, text);
    check_url(text);
    arena_release(&arena);
    return 0;
}
