/* wire/lines.c: characters first, then lines. */
#include "wire/lines.h"

enum { LENGTH_DIGITS_MAX = 18 };

/* RFC 9110 section 5.6.2, tchar: a bit for each ASCII character. */
static bool lines_is_token_char(unsigned char c)
{
    static const uint64_t allowed[2] = {
        UINT64_C(0x03ff6cfa00000000), /* ! # $ % & ' * + - . 0-9 */
        UINT64_C(0x57ffffffc7fffffe), /* A-Z ^ _ ` a-z | ~ */
    };
    return c < 0x80 && (allowed[c >> 6] >> (c & 63) & 1);
}

bool wire_is_token(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!lines_is_token_char((unsigned char)text.at[i]))
            return false;
    return text.len > 0;
}

bool wire_is_value(struct str value)
{
    unsigned bad = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        bad |= (unsigned)((c < 0x20) & (c != '\t')) | (unsigned)(c == 0x7f);
    }
    return bad == 0;
}

bool wire_is_visible(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f)
            return false;
    return text.len > 0;
}

size_t wire_head_size(struct str bytes, size_t searched)
{
    size_t from = searched > 3 ? searched - 3 : 0;
    const char *end = bytes.len > from ? memmem(bytes.at + from, bytes.len - from, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - bytes.at) + 4 : 0;
}

bool wire_read_header(struct str line, struct str *name, struct str *value)
{
    struct str rest = line;
    if (!str_cut(&rest, ':', name) || !wire_is_token(*name))
        return false;
    *value = str_trim(rest);
    return wire_is_value(*value);
}

bool wire_next_line(struct str *rest, struct str *line)
{
    if (!str_cut(rest, '\n', line) || line->len == 0 || line->at[line->len - 1] != '\r')
        return false;
    line->len--;
    return true;
}

bool wire_read_length(struct str text, size_t *out)
{
    int64_t length = 0;
    if (text.len > LENGTH_DIGITS_MAX || !str_number(text, INT64_MAX, &length))
        return false;
    *out = (size_t)length;
    return true;
}
