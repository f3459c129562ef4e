/* oauth/html.c */
#include "oauth/html.h"
#include "base/json.h"
#include "wire/lines.h"

static const struct str replacement = STR_INIT("\xef\xbf\xbd"); /* U+FFFD */

/* Empty: the character stands for itself. */
static struct str html_reference_of(char c)
{
    switch (c) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    case '\'':
        return STR("&#39;");
    case '`':
        return STR("&#96;");
    default:
        return (struct str){ 0, 0 };
    }
}

/* The code point of well-formed bytes. */
static uint32_t html_point_of(struct str character)
{
    static const unsigned char firsts[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t point = (unsigned char)character.at[0] & firsts[character.len];
    for (size_t i = 1; i < character.len; i++)
        point = point << 6 | ((unsigned char)character.at[i] & 0x3f);
    return point;
}

/* What the HTML standard has no use for in a text: controls, and Unicode's noncharacters. */
static bool html_is_text(uint32_t point)
{
    const bool is_control = (point < 0x20 && point != '\t' && point != '\n') || (point >= 0x7f && point < 0xa0);
    const bool is_none = (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) == 0xfffe;
    return !is_control && !is_none;
}

void html_add(struct buf *out, struct str text)
{
    while (text.len > 0) {
        const size_t len = utf8_length(text);
        const struct str character = { text.at, len > 0 ? len : 1 };
        const struct str reference = html_reference_of(text.at[0]);
        if (len == 0 || !html_is_text(html_point_of(character)))
            buf_add(out, replacement);
        else
            buf_add(out, reference.len > 0 ? reference : character);
        text = (struct str){ text.at + character.len, text.len - character.len };
    }
}

bool html_url_is_fit(struct str url)
{
    const bool is_web = (str_has_prefix(url, STR("https://")) && url.len > 8) ||
                        (str_has_prefix(url, STR("http://")) && url.len > 7);
    return is_web && wire_is_visible(url);
}
