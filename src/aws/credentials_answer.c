/* aws/credentials_answer.c: the responses of the services that hand out credentials. Fuzzed: tests/fuzz/credentials.c.
 */
#include "aws/credentials_source.h"
#include "base/json.h"
#include "base/rfc3339.h"

static struct str credentials_answer_text_of(const struct json *json, struct str name)
{
    const struct json *member = json_member(json, name);
    return member && member->kind == JSON_STRING ? member->text : (struct str){ 0, 0 };
}

struct err credentials_read_json(struct arena *arena, struct str text, struct credentials_found *out)
{
    const struct json *json = NULL;
    struct credentials_found found = { 0 };
    if (json_parse(arena, text, &json).code)
        return failed(ERR_UNAVAILABLE, "the response that should hold AWS credentials is not JSON");
    found.access_key = credentials_answer_text_of(json, STR("AccessKeyId"));
    found.secret_key = credentials_answer_text_of(json, STR("SecretAccessKey"));
    found.token = credentials_answer_text_of(json, STR("Token"));
    struct str expires = credentials_answer_text_of(json, STR("Expiration"));
    if (found.access_key.len == 0 || found.secret_key.len == 0 || found.token.len == 0 ||
        !rfc3339_read(expires, &found.expires_s))
        return failed(ERR_UNAVAILABLE, "the response that should hold AWS credentials holds none");
    *out = found;
    return OK;
}

bool credentials_find_element(struct str xml, const char *name, struct str *out)
{
    char open[64], close[64];
    size_t len = strlen(name);
    if (len > sizeof open - 4)
        return false;
    open[0] = close[0] = '<';
    close[1] = '/';
    memcpy(open + 1, name, len + 1);
    memcpy(close + 2, name, len + 1);
    memcpy(open + len + 1, ">", 2);
    memcpy(close + len + 2, ">", 2);
    const char *at = memmem(xml.at, xml.len, open, len + 2);
    if (!at)
        return false;
    struct str rest = { at + len + 2, xml.len - (size_t)(at - xml.at) - len - 2 };
    const char *end = memmem(rest.at, rest.len, close, len + 3);
    if (!end || memmem(rest.at, rest.len, open, len + 2))
        return false;
    *out = (struct str){ rest.at, (size_t)(end - rest.at) };
    return !str_has(*out, '<') && !str_has(*out, '&');
}

struct err credentials_read_xml(struct str text, struct credentials_found *out)
{
    struct credentials_found found = { 0 };
    struct str expires;
    if (!credentials_find_element(text, "AccessKeyId", &found.access_key) ||
        !credentials_find_element(text, "SecretAccessKey", &found.secret_key) ||
        !credentials_find_element(text, "SessionToken", &found.token) ||
        !credentials_find_element(text, "Expiration", &expires) || found.access_key.len == 0 ||
        found.secret_key.len == 0 || !rfc3339_read(expires, &found.expires_s))
        return failed(ERR_UNAVAILABLE, "the response of AWS STS holds no credentials");
    *out = found;
    return OK;
}
