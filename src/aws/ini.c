/* aws/ini.c: AWS's profile files, line by line. */
#include "aws/ini.h"

static bool ini_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next line without its end; false when there is none. */
static bool ini_next_line(struct str *rest, struct str *line)
{
    if (!str_next_item(rest, '\n', line))
        return false;
    if (line->len > 0 && line->at[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* What stands between the brackets, or nothing. */
static bool ini_is_section(struct str line, struct str *name)
{
    struct str rest = line;
    if (line.len < 2 || line.at[0] != '[' || !str_cut(&rest, ']', name))
        return false;
    *name = str_trim((struct str){ name->at + 1, name->len - 1 });
    return true;
}

static bool ini_is_named(struct str name, struct str kind, struct str section)
{
    if (kind.len == 0)
        return str_eq(name, section);
    if (!str_has_prefix(name, kind) || name.len == kind.len || !ini_is_blank(name.at[kind.len]))
        return false;
    return str_eq(str_trim((struct str){ name.at + kind.len, name.len - kind.len }), section);
}

static struct str ini_without_comment(struct str value)
{
    for (size_t i = 1; i < value.len; i++)
        if ((value.at[i] == '#' || value.at[i] == ';') && ini_is_blank(value.at[i - 1]))
            return str_trim((struct str){ value.at, i });
    return str_trim(value);
}

bool ini_find(struct str text, struct str kind, struct str section, struct str name, struct str *out)
{
    bool found = false, inside = false;
    struct str line, head, key;
    while (ini_next_line(&text, &line)) {
        if (ini_is_section(line, &head)) {
            inside = ini_is_named(head, kind, section);
            continue;
        }
        if (!inside || line.len == 0 || ini_is_blank(line.at[0]) || line.at[0] == '#' || line.at[0] == ';' ||
            !str_cut(&line, '=', &key) || !str_eq_nocase(str_trim(key), name))
            continue;
        *out = ini_without_comment(line);
        found = true;
    }
    return found;
}

bool ini_has_section(struct str text, struct str kind, struct str section)
{
    struct str line, head;
    while (ini_next_line(&text, &line))
        if (ini_is_section(line, &head) && ini_is_named(head, kind, section))
            return true;
    return false;
}
