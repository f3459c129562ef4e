/* wire/fields.c: from the parts to the whole: tokens and quoted strings, parameters, then the fields that have them. */
#include "wire/fields.h"
#include "wire/lines.h"

static void fields_skip(struct str *rest, size_t count)
{
    *rest = (struct str){ rest->at + count, rest->len - count };
}

static bool fields_take(struct str *rest, char c)
{
    if (rest->len == 0 || rest->at[0] != c)
        return false;
    fields_skip(rest, 1);
    return true;
}

static void fields_skip_spaces(struct str *rest)
{
    while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
        fields_skip(rest, 1);
}

/* The bytes of a quoted string that `text` begins with (section 5.6.4), its quotes too; 0: it has no end. */
static size_t fields_quoted_len(struct str text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.at[i] == '"')
            return i + 1;
        if (text.at[i] == '\\')
            i++;
    }
    return 0;
}

static struct str fields_take_token(struct str *rest)
{
    size_t len = 0;
    while (len < rest->len && wire_is_token((struct str){ rest->at + len, 1 }))
        len++;
    const struct str token = { rest->at, len };
    fields_skip(rest, len);
    return token;
}

bool field_next(struct str *rest, struct str *element)
{
    while (rest->len > 0) {
        size_t len = 0;
        while (len < rest->len && rest->at[len] != ',') {
            const struct str here = { rest->at + len, rest->len - len };
            size_t quoted = here.at[0] == '"' ? fields_quoted_len(here) : 0;
            len += quoted > 0 ? quoted : 1;
        }
        *element = str_trim((struct str){ rest->at, len });
        fields_skip(rest, len < rest->len ? len + 1 : len);
        if (element->len > 0)
            return true;
    }
    return false;
}

bool field_has(struct str list, struct str name)
{
    struct str element;
    while (field_next(&list, &element))
        if (str_eq_nocase(element, name))
            return true;
    return false;
}

bool field_parameter(struct str *rest, struct str *name, struct str *value, bool *is_quoted)
{
    *name = fields_take_token(rest);
    if (name->len == 0 || !fields_take(rest, '='))
        return false;
    *is_quoted = rest->len > 0 && rest->at[0] == '"';
    if (!*is_quoted) {
        *value = fields_take_token(rest);
        return value->len > 0;
    }
    size_t len = fields_quoted_len(*rest);
    *value = (struct str){ rest->at, len };
    fields_skip(rest, len);
    return len > 0;
}

/* The next of *( OWS ";" OWS [ parameter ] ): 1: there is one; 0: that was all; -1: it has another form. */
static int fields_next_parameter(struct str *rest, struct str *name, struct str *value)
{
    bool is_quoted;
    for (;;) {
        fields_skip_spaces(rest);
        if (rest->len == 0)
            return 0;
        if (!fields_take(rest, ';'))
            return -1;
        fields_skip_spaces(rest);
        if (rest->len > 0 && rest->at[0] != ';')
            return field_parameter(rest, name, value, &is_quoted) ? 1 : -1;
    }
}

/* type "/" subtype at the beginning of *rest. */
static bool fields_take_type(struct str *rest, struct str *type)
{
    const char *begin = rest->at;
    struct str main = fields_take_token(rest), slash = *rest;
    if (main.len == 0 || !fields_take(rest, '/') || fields_take_token(rest).len == 0)
        return false;
    *type = (struct str){ begin, main.len + slash.len - rest->len };
    return true;
}

bool field_is_type(struct str content_type, struct str type)
{
    struct str rest = content_type, named, name, value;
    if (!fields_take_type(&rest, &named) || !str_eq_nocase(named, type))
        return false;
    int more = 1;
    while (more == 1)
        more = fields_next_parameter(&rest, &name, &value);
    return more == 0;
}

/* qvalue (section 12.4.2) in thousandths, or -1. */
static int fields_read_quality(struct str text)
{
    int quality = 0;
    if (text.len == 0 || text.len > 5 || (text.at[0] != '0' && text.at[0] != '1') ||
        (text.len > 1 && text.at[1] != '.'))
        return -1;
    for (size_t i = 0; i < 5; i++) {
        char c = i < text.len ? text.at[i] : '0';
        if (i == 1)
            continue;
        if (!char_is_digit(c))
            return -1;
        quality = quality * 10 + (c - '0');
    }
    return quality <= 1000 ? quality : -1;
}

static int fields_specificity_of(struct str range, struct str type)
{
    struct str main = range, sub = range, main_of_type, rest = type;
    (void)str_cut(&sub, '/', &main);
    (void)str_cut(&rest, '/', &main_of_type);
    if (str_eq_nocase(range, type))
        return 3;
    if (!str_eq(sub, STR("*")))
        return 0;
    return str_eq_nocase(main, main_of_type) ? 2 : str_eq(main, STR("*"));
}

/* One element of Accept; false when it has not the form of one. */
static bool fields_read_range(struct str element, struct str *range, int *quality)
{
    struct str name, value;
    int more;
    *quality = 1000;
    if (!fields_take_type(&element, range))
        return false;
    while ((more = fields_next_parameter(&element, &name, &value)) == 1)
        if (str_eq_nocase(name, STR("q")))
            *quality = fields_read_quality(value);
    return more == 0 && *quality >= 0;
}

struct preference field_preference(struct str accept, struct str type)
{
    struct preference best = { 0, 0 };
    struct str element, range;
    int quality;
    while (field_next(&accept, &element)) {
        if (!fields_read_range(element, &range, &quality))
            continue;
        int specificity = fields_specificity_of(range, type);
        if (specificity > best.specificity ||
            (specificity == best.specificity && specificity > 0 && quality > best.quality))
            best = (struct preference){ quality, specificity };
    }
    return best;
}

/* Both forms are to be taken, though only a token is to be sent (RFC 9111 section 5.2). */
static int64_t fields_read_seconds(struct str value, bool is_quoted)
{
    int64_t seconds = 0;
    if (is_quoted)
        value = (struct str){ value.at + 1, value.len - 2 };
    return str_number(value, INT64_MAX, &seconds) ? seconds : 0;
}

bool field_max_age(struct str cache_control, int64_t *seconds)
{
    struct str element, name, value;
    bool found = false, is_quoted;
    while (field_next(&cache_control, &element)) {
        if (!field_parameter(&element, &name, &value, &is_quoted) || element.len > 0 ||
            !str_eq_nocase(name, STR("max-age")))
            continue;
        const int64_t here = fields_read_seconds(value, is_quoted);
        *seconds = found && *seconds < here ? *seconds : here;
        found = true;
    }
    return found;
}

/* [ "W/" ] opaque-tag at the beginning of *rest (section 8.8.3): what stands in quotes, with them. No backslash escapes
 * anything here. */
static bool fields_take_etag(struct str *rest, struct str *opaque)
{
    if (str_has_prefix(*rest, STR("W/")))
        fields_skip(rest, 2);
    const struct str from = *rest;
    if (!fields_take(rest, '"'))
        return false;
    size_t len = 0;
    while (len < rest->len && (unsigned char)rest->at[len] > ' ' && rest->at[len] != '"' && rest->at[len] != 0x7f)
        len++;
    fields_skip(rest, len);
    *opaque = (struct str){ from.at, len + 2 };
    return fields_take(rest, '"');
}

bool field_has_etag(struct str if_none_match, struct str etag)
{
    struct str rest = str_trim(if_none_match), opaque;
    bool found = false, is_divided = true; /* by a comma from what stands before */
    if (str_eq(rest, STR("*")))
        return true;
    while (rest.len > 0) {
        if (fields_take(&rest, ',')) {
            is_divided = true;
        } else {
            if (!is_divided || !fields_take_etag(&rest, &opaque))
                return false;
            found = found || str_eq(opaque, etag);
            is_divided = false;
        }
        fields_skip_spaces(&rest);
    }
    return found;
}
